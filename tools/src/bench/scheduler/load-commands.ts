/** Registrations by number, `first` to `first + count - 1`. */
export interface RegistrationLoad {
  readonly kind: 'register';
  readonly first: number;
  readonly count: number;
  readonly tasks: number;
  /** How much further in the list of tasks a daemon moves from one of its registrations to the next. */
  readonly stride: number;
  /** Say that the download is over as soon as it is answered, and wait for the end of the stream. */
  readonly finish: boolean;
  /** Ask for the origin. */
  readonly origin: boolean;
  /** By the clock; without it `atOnce` are under way all the time. */
  readonly perSecond?: number;
  readonly atOnce: number;
}

/** What a load process is told. */
export type LoadCommand =
  | {
      readonly kind: 'connect';
      readonly port: number;
      readonly first: number;
      readonly count: number;
      /** As daemons of ours, each with its own stream. */
      readonly isOwn: boolean;
    }
  | RegistrationLoad
  | { readonly kind: 'disconnect' };

/** What came of it. */
export interface LoadResult {
  readonly answered: number;
  /** Of those answered: sent to the origin. */
  readonly origin: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly tookMs: number;
  readonly untilLastAnswerMs: number;
  /** Processor time of those who asked. */
  readonly cpuSeconds: number;
}

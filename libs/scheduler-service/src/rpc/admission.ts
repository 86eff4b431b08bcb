import type { Clock } from '../clock.ts';
import { SchedulerOverloadedError } from '../errors.ts';

export interface AdmissionOptions {
  /** Calls and registrations a second; as many may come at once. */
  readonly perSecond: number;
  readonly clock: Clock;
  /** How often those who wait are let in, and others get their turn. */
  readonly tickMs?: number;
  /** Work of one turn of the event loop after which further registrations wait for the next one. */
  readonly maxTurnMs?: number;
  readonly maxWaiting?: number;
}

const TICK_MS = 10;
/** Health checks are answered within two seconds by clients' clocks; a turn may take a small part of that. */
const MAX_TURN_MS = 100;
/** More than all daemons that one scheduler is meant for. */
const MAX_WAITING = 200_000;

/** Registrations that are let in at a time: some twenty milliseconds of work. */
const MAX_PER_TURN = 400;

const ONE = (): number => 1;

interface Waiting {
  /** Counts among the calls of a second. */
  readonly isCall: boolean;
  /** Registrations that enter with it. */
  readonly size: () => number;
  readonly enter: () => void;
  readonly signal: AbortSignal;
}

/**
 * Lets calls in as fast as they can be served. Whoever comes too fast is turned down, as stock clients expect it; daemons of ours wait
 * instead. When a turn of the event loop has taken long enough, registrations of everybody wait for the next turn, so that health checks
 * and reports are not kept waiting by a crowd. Owner of the queue of those who wait.
 */
export class Admission implements Disposable {
  readonly #options: Required<AdmissionOptions>;
  readonly #queue: Waiting[] = [];
  readonly #timer: NodeJS.Timeout;
  #tokens: number;
  #filledAtMs: number;
  #turnStartedAtMs: number;
  #refused = 0;
  #delayed = 0;

  constructor(options: AdmissionOptions) {
    this.#options = { tickMs: TICK_MS, maxTurnMs: MAX_TURN_MS, maxWaiting: MAX_WAITING, ...options };
    this.#tokens = options.perSecond;
    this.#filledAtMs = this.#turnStartedAtMs = options.clock();
    this.#timer = setInterval(() => this.#turn(), this.#options.tickMs);
    this.#timer.unref();
  }

  /** For metrics. */
  get counts(): { readonly waiting: number; readonly refused: number; readonly delayed: number } {
    return { waiting: this.#queue.length, refused: this.#refused, delayed: this.#delayed };
  }

  /** A call that is answered at once, or not at all. @throws {SchedulerOverloadedError} calls come too fast */
  call(): void {
    if (!this.#take()) this.#refuse();
  }

  /**
   * A registration.
   * @param isPatient a daemon of ours: waits where others are turned down
   * @param call its signal is looked at only where it has to wait: most calls never make one
   * @returns a promise to wait for, where it has to wait; it rejects with the reason of the signal
   * @throws {SchedulerOverloadedError} registrations come too fast, or too many wait
   */
  registration(isPatient: boolean, call: { readonly signal: AbortSignal }): Promise<void> | undefined {
    const isTurnOver = this.#isTurnOver();
    if (!isTurnOver && this.#take()) return undefined;
    if ((!isTurnOver && !isPatient) || this.#queue.length >= this.#options.maxWaiting) this.#refuse();
    return this.#wait(true, call.signal, ONE);
  }

  /**
   * A registration on a stream that has been let in: it counts for nobody's limit, and waits only while others need their turn.
   * @param size how many will enter with it, once it may
   * @returns a promise to wait for, where it has to wait; it rejects with the reason of the signal
   */
  turn(call: { readonly signal: AbortSignal }, size: () => number = ONE): Promise<void> | undefined {
    return this.#isTurnOver() ? this.#wait(false, call.signal, size) : undefined;
  }

  #isTurnOver(): boolean {
    const { clock, maxTurnMs } = this.#options;
    return this.#queue.length > 0 || clock() - this.#turnStartedAtMs > maxTurnMs;
  }

  #wait(isCall: boolean, signal: AbortSignal, size: () => number): Promise<void> {
    this.#delayed++;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', leave, { once: true });
    const enter = (): void => {
      signal.removeEventListener('abort', leave);
      resolve();
    };
    this.#queue.push({ enter, signal, isCall, size });
    return promise;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** A new turn of the event loop: those who wait come first, in their order. */
  #turn(): void {
    const { clock, maxTurnMs } = this.#options;
    this.#turnStartedAtMs = clock();
    let done = 0;
    let entered = 0;
    for (const { enter, signal, isCall, size } of this.#queue) {
      // Those who were let in do their work after this; so many at a time are a turn's worth at the most.
      if (entered >= MAX_PER_TURN) break;
      if (!signal.aborted) {
        if (clock() - this.#turnStartedAtMs > maxTurnMs / 2 || (isCall && !this.#take())) break;
        entered += size();
        enter();
      }
      done++;
    }
    this.#queue.splice(0, done);
  }

  #refuse(): never {
    this.#refused++;
    throw new SchedulerOverloadedError(`more than ${this.#options.perSecond} calls a second`);
  }

  #take(): boolean {
    const { clock, perSecond } = this.#options;
    const nowMs = clock();
    this.#tokens = Math.min(perSecond, this.#tokens + ((nowMs - this.#filledAtMs) * perSecond) / 1000);
    this.#filledAtMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** What the calls write down, and where; the repositories of the database are such books. Everything may fail when it is away. */

/** By which a scheduler or seed peer is known again. */
export interface ServiceIdentity {
  readonly hostName: string;
  readonly ip: string;
  /** Of schedulers, or of seed peers. */
  readonly clusterId: number;
}

/** What all of them say of themselves. */
interface Registration {
  readonly hostName: string;
  readonly ip: string;
  readonly port: number;
  readonly idc: string;
  readonly location: string;
  readonly keepAliveIntervalMs: number;
}

interface Book<Values> {
  /** Makes the row or brings it up to date. @throws `REFERENCE_NOT_FOUND` there is no such cluster */
  register(values: Values, now: Date): Promise<{ readonly id: number }>;
  /** @returns whether there is such a row */
  keepAlive(identity: ServiceIdentity, now: Date): Promise<boolean>;
  /** The stream is over. Does nothing when another one has kept the row alive since `lastSeenAt`. */
  keepAliveEnded(identity: ServiceIdentity, lastSeenAt: Date, now: Date): Promise<void>;
}

export type SchedulerBook = Book<
  Registration & {
    readonly schedulerClusterId: number;
    readonly features: string[];
    readonly config: { readonly manager_keep_alive_interval?: number };
  }
>;

export interface SeedPeerBook extends Book<
  Registration & {
    readonly seedPeerClusterId: number;
    readonly type: string;
    readonly downloadPort: number;
    readonly objectStoragePort: number;
  }
> {
  remove(id: number): Promise<void>;
}

export interface ApplicationFacts {
  readonly id: number;
  readonly name: string;
  readonly url: string;
  readonly bio: string;
  /** Null for one that has none. */
  readonly priority: {
    readonly value?: number;
    readonly urls?: readonly { readonly regex: string; readonly value: number }[];
  } | null;
}

export interface ApplicationBook {
  /** Those that have one. */
  withPriority(): Promise<readonly ApplicationFacts[]>;
}

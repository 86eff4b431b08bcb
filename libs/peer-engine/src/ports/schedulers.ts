import type { Announcement, PeerRegistration } from '@d7y/peer-protocol';

/** One scheduler, as far as a download needs it. */
export interface SchedulerConnection {
  /** `ip:port`, for logs. */
  readonly address: string;
  announcePeer(registration: PeerRegistration, options: { signal: AbortSignal }): Announcement;
}

/** The schedulers this daemon knows. */
export interface Schedulers {
  /** Whom to ask about a task: its owner on the ring first, then the next ones; only those believed to be up. May be empty. */
  candidates(taskId: string): readonly SchedulerConnection[];
  /** Whether this one came back a moment ago, and may not have heard yet who has what, and who fetches it. */
  isBack?(address: string): boolean;
}

/** A seed that a scheduler named earlier, for the time when none answers. */
export interface RememberedSeed {
  readonly hostId: string;
  readonly ip: string;
  /** Upload gRPC port. */
  readonly port: number;
}

/** The seeds this daemon remembers, also across restarts. */
export interface SeedMemory {
  /** All seeds in the order in which every daemon of the cluster asks them about this task. */
  ordered(taskId: string): readonly RememberedSeed[];
}

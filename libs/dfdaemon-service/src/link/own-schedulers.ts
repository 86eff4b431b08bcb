import type { SchedulerClient } from '@d7y/peer-protocol';

/** The schedulers of ours among those that this daemon knows. */
export interface OwnSchedulers {
  /** Those that serve at present, and know this host. */
  own(): readonly SchedulerClient[];
  /** Addresses of all schedulers, the owner of the task first. */
  order(taskId: string): readonly string[];
  /** Something speaks against a scheduler, or it may have forgotten us: it is looked at, and told again of this host. */
  doubt(address: string): void;
  /** A scheduler says that it is about to stop: it is not asked any more until it serves again. */
  retire(address: string): void;
  /** Calls the listener after every change of what `own` or `order` say. */
  onChange(listener: () => void): Disposable;
}

import type { SchedulerClient } from '@d7y/peer-protocol';
import type { Logger } from '@d7y/service-kit';
import { delay } from '@d7y/service-kit';

/** Notices that wait, at most; beyond that the oldest are dropped: a scheduler forgets with time who does not deliver. */
const MAX_WAITING = 10_000;
const CONCURRENCY = 4;

export interface EvictionNoticesOptions {
  readonly schedulers: { clientsFor(taskId: string): readonly Pick<SchedulerClient, 'deleteTask'>[] };
  /** The talk with schedulers of ours, which takes many at a time; answers whether the task's scheduler hears it that way. */
  readonly links: { forget(taskId: string): boolean };
  /** Whether the task is here, again perhaps: then there is nothing to tell. */
  readonly isHeld: (taskId: string) => boolean;
  readonly logger: Logger;
  /** Notices gather for this long: eviction comes in bursts, and must not wait for schedulers. */
  readonly gatherMs?: number;
  readonly maxWaiting?: number;
}

/** Tells each evicted task's scheduler that it is no longer to be had here, some at a time. Owner of the notices that wait. */
export class EvictionNotices implements AsyncDisposable {
  readonly #options: EvictionNoticesOptions;
  readonly #waiting = new Set<string>();
  readonly #stop = new AbortController();
  #sending: Promise<void> | undefined;

  constructor(options: EvictionNoticesOptions) {
    this.#options = options;
  }

  /** Returns at once. */
  evicted(taskId: string): void {
    if (this.#stop.signal.aborted) return;
    this.#waiting.add(taskId);
    const [oldest] = this.#waiting;
    if (this.#waiting.size > (this.#options.maxWaiting ?? MAX_WAITING) && oldest !== undefined) {
      this.#waiting.delete(oldest);
    }
    this.#sending ??= this.#send().finally(() => (this.#sending = undefined));
  }

  /** What is not told yet stays untold: the schedulers hear that all of this host leaves. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#waiting.clear();
    await this.#sending;
  }

  /** Never rejects. */
  async #send(): Promise<void> {
    const { gatherMs = 100 } = this.#options;
    const { signal } = this.#stop;
    while (this.#waiting.size > 0) {
      await delay(gatherMs, { signal, unref: true }).catch(() => undefined);
      await Promise.all(Array.from({ length: CONCURRENCY }, () => this.#work()));
    }
  }

  async #work(): Promise<void> {
    const { schedulers, links, isHeld, logger } = this.#options;
    const { signal } = this.#stop;
    for (const taskId of this.#waiting) {
      this.#waiting.delete(taskId);
      if (isHeld(taskId) || links.forget(taskId)) continue;
      const [scheduler] = schedulers.clientsFor(taskId);
      await scheduler?.deleteTask(taskId, { signal }).catch((error: unknown) => {
        if (!signal.aborted) logger.debug({ taskId, err: error }, 'a scheduler was not told of an eviction');
      });
    }
  }
}

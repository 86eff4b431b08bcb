import type { Logger } from '@d7y/service-kit';
import type { TaskChange, TaskMetadata } from './metadata.ts';

export interface ChangeJournalOptions {
  readonly metadata: TaskMetadata;
  readonly logger: Logger;
  /** A change waits no longer than this for others to share its transaction. */
  readonly batchDelayMs?: number;
  /** Nor for more than this many of them. */
  readonly batchSize?: number;
  /** Until the next attempt after a failed one. */
  readonly retryDelayMs?: number;
}

/**
 * Gathers changes to the metadata into transactions. Owner of the order in which they are applied.
 *
 * A crash loses the last batch at most, and that costs fetching those pieces again: a change is queued only when the bytes it
 * speaks of are written. What must not be lost, such as pieces found wrong, is flushed by whoever queues it.
 */
export class ChangeJournal implements Disposable {
  readonly #options: Required<ChangeJournalOptions>;
  #pending: TaskChange[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isFailing = false;
  readonly #afterFlush = new Set<() => void>();

  constructor(options: ChangeJournalOptions) {
    this.#options = { batchDelayMs: 50, batchSize: 64, retryDelayMs: 1000, ...options };
  }

  add(change: TaskChange): void {
    this.#pending.push(change);
    if (this.#isFailing) return;
    if (this.#pending.length >= this.#options.batchSize) this.#flushQuietly();
    else this.#timer ??= setTimeout(() => this.#flushQuietly(), this.#options.batchDelayMs).unref();
  }

  /**
   * Puts everything queued on disk.
   * @throws what the metadata throws; the changes stay queued and are tried again
   */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.length === 0) return;
    try {
      this.#options.metadata.apply(this.#pending);
      this.#pending = [];
      this.#isFailing = false;
      for (const callback of this.#afterFlush) callback();
      this.#afterFlush.clear();
    } catch (error) {
      this.#isFailing = true;
      this.#timer = setTimeout(() => this.#flushQuietly(), this.#options.retryDelayMs).unref();
      throw error;
    }
  }

  /** Calls back once everything queued by then is on disk; the same function once only. */
  afterFlush(callback: () => void): void {
    this.#afterFlush.add(callback);
  }

  /** Drops what is queued for a task whose records are being removed. */
  forget(key: number): void {
    this.#pending = this.#pending.filter((change) => change.key !== key);
  }

  /** Ends the waiting; what is still queued is lost, so flush first. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#pending = [];
  }

  #flushQuietly(): void {
    try {
      this.flush();
    } catch (error) {
      this.#options.logger.warn(
        { err: error, waiting: this.#pending.length },
        'piece records cannot be written; trying again',
      );
    }
  }
}

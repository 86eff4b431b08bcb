import { DfError } from '@d7y/piece';

/** A bounded queue was full when something had to be put into it. */
export class QueueFullError extends DfError {
  override readonly name = 'QueueFullError';
  readonly code = 'QUEUE_FULL';
  readonly retryable = true;
  readonly capacity: number;
  constructor(capacity: number) {
    super(`queue full: ${capacity} items are waiting`);
    this.capacity = capacity;
  }
}

/**
 * Items pushed on one side, iterated on the other; owner of both is whoever made it. One consumer: a second iteration takes
 * turns with the first. After `close` the items that wait are still delivered; after `fail` they are not.
 */
export class AsyncQueue<T> implements AsyncIterable<T> {
  readonly capacity: number;
  #items: T[] = [];
  #head = 0;
  #end: { error: Error } | 'closed' | undefined;
  #takers: PromiseWithResolvers<IteratorResult<T, undefined>>[] = [];
  #roomWaiters: (() => void)[] = [];

  /** @param capacity most items that may wait */
  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Items waiting. */
  get size(): number {
    return this.#items.length - this.#head;
  }

  /** Nothing more is accepted: it was closed, failed, or its consumer left. */
  get isClosed(): boolean {
    return this.#end !== undefined;
  }

  /** Adds an item; false when the queue is closed, so that the item was dropped. @throws {QueueFullError} */
  push(item: T): boolean {
    if (this.#end !== undefined) return false;
    const taker = this.#takers.shift();
    if (taker !== undefined) {
      taker.resolve({ done: false, value: item });
      return true;
    }
    if (this.size >= this.capacity) throw new QueueFullError(this.capacity);
    this.#items.push(item);
    return true;
  }

  /** As `push`, but waits while the queue is full. */
  async pushWhenRoom(item: T, options: { signal?: AbortSignal | undefined } = {}): Promise<boolean> {
    options.signal?.throwIfAborted();
    while (this.#end === undefined && this.size >= this.capacity) await this.#room(options.signal);
    return this.push(item);
  }

  /** No more items; those that wait are still delivered. */
  close(): void {
    this.#finish('closed');
  }

  /** Ends the iteration with an error, at once. */
  fail(error: unknown): void {
    if (this.#end !== undefined) return;
    this.#items = [];
    this.#head = 0;
    this.#finish({ error: error as Error });
  }

  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    const leave = () => {
      this.#items = [];
      this.#head = 0;
      this.#finish('closed');
    };
    return {
      next: () => this.#next(),
      return: () => {
        leave();
        return Promise.resolve({ done: true, value: undefined });
      },
      // Connect aborts a request stream by throwing into it, and reports an internal error where it cannot.
      throw: (error: Error) => {
        leave();
        return Promise.reject(error);
      },
    };
  }

  #next(): Promise<IteratorResult<T, undefined>> {
    if (this.size > 0) {
      const value = this.#items[this.#head] as T;
      this.#items[this.#head++] = undefined as T;
      // Shifting an array is linear: advance an index, and cut when half is spent.
      if (this.#head > 64 && this.#head * 2 > this.#items.length) {
        this.#items = this.#items.slice(this.#head);
        this.#head = 0;
      }
      this.#roomWaiters.shift()?.();
      return Promise.resolve({ done: false, value });
    }
    if (this.#end === 'closed') return Promise.resolve({ done: true, value: undefined });
    if (this.#end !== undefined) {
      const { error } = this.#end;
      this.#end = 'closed';
      return Promise.reject(error);
    }
    const taker = Promise.withResolvers<IteratorResult<T, undefined>>();
    this.#takers.push(taker);
    return taker.promise;
  }

  #finish(end: { error: Error } | 'closed'): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    const takers = this.#takers.splice(0);
    if (end !== 'closed') {
      const first = takers.shift();
      if (first !== undefined) {
        first.reject(end.error);
        this.#end = 'closed';
      }
    }
    for (const taker of takers) taker.resolve({ done: true, value: undefined });
    for (const wake of this.#roomWaiters.splice(0)) wake();
  }

  #room(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = () => {
        this.#roomWaiters.splice(this.#roomWaiters.indexOf(wake), 1);
        reject(signal?.reason as Error);
      };
      this.#roomWaiters.push(wake);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}

import type { ByteLimiter } from './byte-limiter.ts';

export interface RateLimiterOptions {
  /** Bytes per second in the long run; more than 0. */
  readonly bytesPerSec: number;
  /** Bytes that may go at once after a rest; those of a tenth of a second unless given. */
  readonly burstBytes?: number | undefined;
  /** Monotonic time in ms. */
  readonly clock?: (() => number) | undefined;
}

const BURST_MS = 100;

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

/**
 * Lets so many bytes a second pass. Whoever comes while nothing is owed goes at once, and what its chunk is too much is owed by those
 * after it: a chunk larger than the burst passes too, and over any time t no more than burst + t · rate + one chunk does.
 * Refilled continuously, one timer for all who wait.
 */
export class RateLimiter implements ByteLimiter {
  readonly #bytesPerMs: number;
  readonly #burstBytes: number;
  readonly #clock: () => number;
  /** In the order in which they came. */
  readonly #queue = new Set<Waiting>();
  #balance: number;
  #filledAtMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor({ bytesPerSec, burstBytes, clock = () => performance.now() }: RateLimiterOptions) {
    if (!(bytesPerSec > 0)) throw new RangeError(`a rate of ${bytesPerSec} bytes per second lets nothing pass`);
    this.#bytesPerMs = bytesPerSec / 1000;
    this.#burstBytes = burstBytes ?? this.#bytesPerMs * BURST_MS;
    this.#clock = clock;
    this.#balance = this.#burstBytes;
    this.#filledAtMs = clock();
  }

  take(bytes: number, { signal }: { signal: AbortSignal }): Promise<void> | undefined {
    signal.throwIfAborted();
    this.#refill();
    if (this.#queue.size === 0 && this.#balance >= 0) {
      this.#balance -= bytes;
      return undefined;
    }
    return this.#wait(bytes, signal);
  }

  async #wait(bytes: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = { bytes, go: resolve };
    // What was never drawn is not owed: those behind move up.
    const abort = (): void => {
      if (!this.#queue.delete(waiting)) return;
      this.#schedule();
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#queue.add(waiting);
    if (this.#timer === undefined) this.#schedule();
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #refill(): void {
    const now = this.#clock();
    this.#balance = Math.min(this.#balance + (now - this.#filledAtMs) * this.#bytesPerMs, this.#burstBytes);
    this.#filledAtMs = now;
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#queue.size === 0) return;
    const waitMs = Math.max(Math.ceil(-this.#balance / this.#bytesPerMs), 1);
    this.#timer = setTimeout(() => this.#release(), waitMs);
  }

  #release(): void {
    this.#refill();
    for (const waiting of this.#queue) {
      if (this.#balance < 0) break;
      this.#queue.delete(waiting);
      this.#balance -= waiting.bytes;
      waiting.go();
    }
    this.#schedule();
  }
}

import type { ByteLimiter } from '@d7y/service-kit';

/** The rate of a transfer is that of the last one to two of these, in ms. */
const RATE_SPAN_MS = 500;

/**
 * How one transfer goes. Stands in front of the limits as the one limiter of the transfer, so that it sees every chunk, and knows which
 * waits are our own doing (a limit of ours, our disk): those never count against the sender.
 */
export class TransferMeter implements ByteLimiter {
  readonly #clock: () => number;
  readonly #limiters: readonly ByteLimiter[];
  readonly #startedAtMs: number;
  readonly #onFirstBytes: (() => void) | undefined;
  #drawn = 0;
  #written = 0;
  /** Waits of our own under way, and the time that earlier ones took. */
  #ownWaits = 0;
  #ownSinceMs = 0;
  #ownMs = 0;
  /** Elapsed when the first bytes came. */
  #firstAtMs: number | undefined;
  #mark: { readonly atMs: number; readonly bytes: number };
  #markBefore: { readonly atMs: number; readonly bytes: number };

  /** @param clock time in ms; @param limiters drawn on for each chunk, one after the other */
  constructor(clock: () => number, limiters: readonly ByteLimiter[], onFirstBytes?: () => void) {
    this.#clock = clock;
    this.#limiters = limiters;
    this.#onFirstBytes = onFirstBytes;
    this.#startedAtMs = clock();
    this.#mark = { atMs: 0, bytes: 0 };
    this.#markBefore = this.#mark;
  }

  /** So far. */
  get bytes(): number {
    return Math.max(this.#drawn, this.#written);
  }

  /** Since the start, without waits of our own. */
  get elapsedMs(): number {
    const own = this.#ownMs + (this.#ownWaits > 0 ? this.#clock() - this.#ownSinceMs : 0);
    return Math.max(this.#clock() - this.#startedAtMs - own, 0);
  }

  /** Since the first bytes, without waits of our own: before, it may have waited for its turn. */
  get flowingMs(): number {
    return this.#firstAtMs === undefined ? 0 : this.elapsedMs - this.#firstAtMs;
  }

  /** Of late. */
  get bytesPerSec(): number {
    this.#moveMarks();
    const { atMs, bytes } = this.#markBefore;
    const spanMs = this.elapsedMs - atMs;
    return spanMs <= 0 ? 0 : ((this.bytes - bytes) * 1000) / spanMs;
  }

  take(bytes: number, options: { signal: AbortSignal }): Promise<void> | undefined {
    if (this.bytes === 0 && bytes > 0) this.#onFirstBytes?.();
    this.#drawn += bytes;
    this.#moveMarks();
    for (const [index, limiter] of this.#limiters.entries()) {
      const wait = limiter.take(bytes, options);
      if (wait !== undefined) return this.during(this.#takeRest(wait, index + 1, bytes, options));
    }
    return undefined;
  }

  /** Bytes up to here, counted from the start of the piece, have arrived: for a transfer that draws on no limiter. */
  reached(bytes: number): void {
    if (this.bytes === 0 && bytes > 0) this.#onFirstBytes?.();
    this.#written = Math.max(this.#written, bytes);
    this.#moveMarks();
  }

  /** So much time, in ms, was our own, spent elsewhere than in `during`. */
  waited(ms: number): void {
    // What `during` counts at the same time is not counted twice.
    if (this.#ownWaits === 0) this.#ownMs += ms;
  }

  /** The time until `work` settles is not the sender's. */
  async during<T>(work: Promise<T>): Promise<T> {
    if (this.#ownWaits++ === 0) this.#ownSinceMs = this.#clock();
    try {
      return await work;
    } finally {
      if (--this.#ownWaits === 0) this.#ownMs += this.#clock() - this.#ownSinceMs;
    }
  }

  async #takeRest(wait: Promise<void>, next: number, bytes: number, options: { signal: AbortSignal }): Promise<void> {
    await wait;
    for (const limiter of this.#limiters.slice(next)) await limiter.take(bytes, options);
  }

  #moveMarks(): void {
    const atMs = this.elapsedMs;
    if (this.bytes > 0) this.#firstAtMs ??= atMs;
    if (atMs - this.#mark.atMs < RATE_SPAN_MS) return;
    this.#markBefore = this.#mark;
    this.#mark = { atMs, bytes: this.bytes };
  }
}

/** How slow a body may be. */
export interface ProgressFloorOptions {
  readonly minBytesPerSec: number;
  /** Time over which the rate is taken. */
  readonly windowMs: number;
}

/**
 * Watches that a sender delivers at least so many bytes per second. Only time spent waiting for it counts: a slow reader is not
 * the sender's fault.
 */
export class ProgressFloor implements Disposable {
  readonly #options: ProgressFloorOptions;
  readonly #onTooSlow: () => void;
  #timer: NodeJS.Timeout | undefined;
  #waitingSinceMs = 0;
  #waitedMs = 0;
  #bytes = 0;

  /** @param onTooSlow called once at most */
  constructor(options: ProgressFloorOptions, onTooSlow: () => void) {
    this.#options = options;
    this.#onTooSlow = onTooSlow;
  }

  /** The reader has nothing to read. */
  startWaiting(): void {
    this.#waitingSinceMs = performance.now();
    this.#timer = setTimeout(() => this.#windowOver(), this.#options.windowMs - this.#waitedMs);
  }

  /** The reader has something to read, or has gone. */
  stopWaiting(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waitedMs = Math.min(this.#options.windowMs, this.#waitedMs + performance.now() - this.#waitingSinceMs);
  }

  received(bytes: number): void {
    this.#bytes += bytes;
  }

  [Symbol.dispose](): void {
    this.stopWaiting();
  }

  #windowOver(): void {
    this.#timer = undefined;
    const { minBytesPerSec, windowMs } = this.#options;
    if (this.#bytes < (minBytesPerSec * windowMs) / 1000) {
      this.#onTooSlow();
      return;
    }
    this.#bytes = 0;
    this.#waitedMs = 0;
    this.startWaiting();
  }
}

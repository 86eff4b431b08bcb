import { delay } from '@d7y/service-kit';

/** Longest pause, however long the work before it took: a disk that hangs must not make us wait for hours. */
const MAX_PAUSE_MS = 2_000;

/**
 * Work in the background that takes no more than half of the disk: each step is followed by a pause as long as itself. Whoever waits
 * for the work makes it hurry.
 */
export class Pace {
  readonly #signal: AbortSignal;
  readonly #hurry = new AbortController();
  #stepStartedAtMs: number | undefined;

  constructor(signal: AbortSignal, { isUrgent = false }: { isUrgent?: boolean } = {}) {
    this.#signal = signal;
    if (isUrgent) this.hurry();
  }

  /** From here on without pauses. */
  hurry(): void {
    this.#hurry.abort();
  }

  /** To be called before each step. @throws the signal's reason */
  async turn(): Promise<void> {
    this.#signal.throwIfAborted();
    const now = performance.now();
    const pauseMs = Math.min(MAX_PAUSE_MS, now - (this.#stepStartedAtMs ?? now));
    if (pauseMs >= 1 && !this.#hurry.signal.aborted) {
      const either = AbortSignal.any([this.#signal, this.#hurry.signal]);
      await delay(pauseMs, { signal: either, unref: true }).catch(() => this.#signal.throwIfAborted());
    }
    this.#stepStartedAtMs = performance.now();
  }
}

/** How slowly bytes may come before a transfer counts as stalled. */
export interface ProgressFloor {
  readonly bytesPerSec: number;
  readonly windowMs: number;
}

const TICKS_PER_WINDOW = 5;

/**
 * Watches that bytes keep coming at the floor's rate over its window. Time in which we ourselves do not read does not
 * count against the sender. Owned by one transfer; must be stopped.
 */
export class ProgressWatch {
  readonly #timer: NodeJS.Timeout;
  /** Bytes of the ticks that make up the window, oldest first. */
  #ticks: number[] = [];
  #current = 0;
  #isPaused = false;

  /** @param onStalled called once, with the bytes of the last window */
  constructor({ bytesPerSec, windowMs }: ProgressFloor, onStalled: (windowBytes: number) => void) {
    const wanted = (bytesPerSec * windowMs) / 1000;
    this.#timer = setInterval(() => {
      if (this.#isPaused) return;
      this.#ticks.push(this.#current);
      this.#current = 0;
      if (this.#ticks.length < TICKS_PER_WINDOW) return;
      const windowBytes = this.#ticks.reduce((sum, bytes) => sum + bytes, 0);
      if (windowBytes < wanted) {
        this.stop();
        onStalled(windowBytes);
      }
      this.#ticks.shift();
    }, windowMs / TICKS_PER_WINDOW);
  }

  received(bytes: number): void {
    this.#current += bytes;
  }

  /** A pause starts the window anew. */
  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#ticks = [];
    this.#current = 0;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

import type { FilledBuffer } from './reader-buffers.ts';

/** Bytes that are read while those before them go out; others may have the buffer back until they are taken. */
export class ReadAhead implements Disposable {
  readonly #reading: Promise<void>;
  #filled: FilledBuffer | undefined;
  #isOver = false;

  /** @param reading undefined when there was no buffer to spare */
  constructor(reading: Promise<FilledBuffer | undefined>) {
    this.#reading = reading.then((filled) => {
      if (this.#isOver) filled?.[Symbol.dispose]();
      else this.#filled = filled;
    });
    this.#reading.catch(() => undefined); // heard by whoever takes it, if anybody does
  }

  /** @returns undefined when they have to be read again @throws what reading threw */
  async take(): Promise<FilledBuffer | undefined> {
    await this.#reading;
    const filled = this.#filled;
    this.#filled = undefined;
    return filled;
  }

  /** Gives the buffer back, if it is filled. */
  recall(): void {
    this.#filled?.[Symbol.dispose]();
    this.#filled = undefined;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.recall();
  }
}

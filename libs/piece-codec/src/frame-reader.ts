import type { Decoded } from './frames.ts';
import { FrameTruncatedError } from './errors.ts';
import { HEADER_BYTES } from './layout.ts';

/**
 * What a decoder makes of the bytes it has gathered: `more` bytes must come in addition, or the frame is complete.
 * `more` is where a decoder bounds memory, since just that much is allocated next.
 */
export type Step<Frame> = { readonly more: number } | { readonly frame: Frame };

/**
 * Gathers the bytes of one frame after the other from runs of any length, never more than the frame has.
 * Owns its buffer; after an error it is of no further use and throws that error again.
 */
export class FrameReader<Frame> {
  readonly #next: (gathered: DataView) => Step<Frame>;
  #buffer = new Uint8Array(HEADER_BYTES);
  #filled = 0;
  #failure: { readonly error: unknown } | undefined;

  /** @param next called whenever the bytes it asked for are there, with all bytes of the frame so far; throws to refuse */
  constructor(next: (gathered: DataView) => Step<Frame>) {
    this.#next = next;
  }

  push(run: Uint8Array): Decoded<Frame> {
    if (this.#failure !== undefined) throw this.#failure.error;
    let consumed = 0;
    for (;;) {
      const taken = run.subarray(consumed, consumed + this.#buffer.length - this.#filled);
      this.#buffer.set(taken, this.#filled);
      this.#filled += taken.length;
      consumed += taken.length;
      if (this.#filled < this.#buffer.length) return { consumed, frame: undefined };
      const step = this.#step();
      if ('frame' in step) {
        this.#restart(HEADER_BYTES);
        return { consumed, frame: step.frame };
      }
      const grown = new Uint8Array(this.#buffer.length + step.more);
      grown.set(this.#buffer);
      this.#buffer = grown;
    }
  }

  /** @throws {FrameTruncatedError} in the middle of a frame */
  end(): void {
    if (this.#failure === undefined && this.#filled > 0) throw new FrameTruncatedError(this.#filled);
  }

  #step(): Step<Frame> {
    try {
      return this.#next(new DataView(this.#buffer.buffer));
    } catch (error) {
      this.#failure = { error };
      this.#restart(0);
      throw error;
    }
  }

  #restart(bytes: number): void {
    this.#buffer = new Uint8Array(bytes);
    this.#filled = 0;
  }
}

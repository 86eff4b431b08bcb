/** Over this time a rate is measured, in ms: rates of less vary by themselves. */
const SPAN_MS = 600;
/** A request that was added is given so long to come up to speed first. */
const START_MS = 300;
/** A request more must bring so many times the rate before to be worth it. */
const GAIN = 1.25;

/**
 * How many requests to an origin are worth having at once: as few as bring all that comes. More would only share the link, and the first
 * pieces, which others wait for, would all be whole late. Begins with one; goes up as long as the rate does, once the first piece is here.
 */
export class OriginWidth {
  readonly #max: number;
  #width = 1;
  #isSettled: boolean;
  /** Bytes per ms with one request fewer. */
  #before = 0;
  #sinceMs: number | undefined;
  #bytes = 0;
  #hasPiece = false;

  constructor(max: number) {
    this.#max = max;
    this.#isSettled = max <= 1;
  }

  get width(): number {
    return this.#width;
  }

  /** The last request is there to see whether it helps. */
  get isTrying(): boolean {
    return !this.#isSettled && this.#width > 1;
  }

  /** A piece is whole: others have something to work on. */
  finished(): void {
    this.#hasPiece = true;
  }

  /** Bytes came, over whichever request. @returns whether one more is to be tried */
  received(bytes: number, nowMs: number): boolean {
    if (this.#isSettled) return false;
    // The first rate is that of a connection that has come up to speed, too: a slow start would make a second one look good.
    this.#sinceMs ??= nowMs + START_MS;
    if (nowMs < this.#sinceMs) return false;
    this.#bytes += bytes;
    const spanMs = nowMs - this.#sinceMs;
    if (spanMs < SPAN_MS || !this.#hasPiece) return false;
    const rate = this.#bytes / spanMs;
    if (rate < this.#before * GAIN) {
      this.#width--;
      this.#isSettled = true;
      return false;
    }
    this.#before = rate;
    this.#sinceMs = nowMs + START_MS;
    this.#bytes = 0;
    if (this.#width === this.#max) this.#isSettled = true;
    else this.#width++;
    return !this.#isSettled;
  }
}

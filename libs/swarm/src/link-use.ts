/** Over this time a rate is measured, in ms: rates of less vary by themselves. */
const SPAN_MS = 500;
/** A rate that was not seen again for so long counts half, in ms: links, and who else uses them, change. */
const HALF_LIFE_MS = 60_000;

/** How much of what a link is known to carry is in use: nobody says how fast it is, so it is judged by the most that it carried of late. */
export class LinkUse {
  #mark = { atMs: 0, bytes: 0 };
  #markBefore = { atMs: 0, bytes: 0 };
  #bytes = 0;
  #hasBegun = false;
  /** Bytes per ms. */
  #peak = 0;
  #peakAtMs = 0;

  /** So many bytes went over it, or came. */
  moved(bytes: number, nowMs: number): void {
    this.#advance(nowMs);
    this.#bytes += bytes;
  }

  /** Share of the highest rate that is in use, of late; 1 while nothing is known. */
  use(nowMs: number): number {
    this.#advance(nowMs);
    const peak = this.#peakAt(nowMs);
    return peak === 0 ? 1 : Math.min(this.#rateAt(nowMs) / peak, 1);
  }

  #advance(nowMs: number): void {
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      this.#mark = this.#markBefore = { atMs: nowMs, bytes: 0 };
    }
    const spanMs = nowMs - this.#mark.atMs;
    if (spanMs < SPAN_MS) return;
    const rate = (this.#bytes - this.#mark.bytes) / spanMs;
    if (rate >= this.#peakAt(nowMs)) {
      this.#peak = rate;
      this.#peakAtMs = nowMs;
    }
    this.#markBefore = this.#mark;
    this.#mark = { atMs: nowMs, bytes: this.#bytes };
  }

  #rateAt(nowMs: number): number {
    const spanMs = nowMs - this.#markBefore.atMs;
    return spanMs <= 0 ? 0 : (this.#bytes - this.#markBefore.bytes) / spanMs;
  }

  #peakAt(nowMs: number): number {
    return this.#peak * 0.5 ** (Math.max(nowMs - this.#peakAtMs, 0) / HALF_LIFE_MS);
  }
}

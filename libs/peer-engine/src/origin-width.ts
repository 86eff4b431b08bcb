/** Over this time a rate is measured, in ms: rates of less vary by themselves. */
const SPAN_MS = 600;
/** A request that was added is given so long to come up to speed first. */
const START_MS = 300;
/** Requests that were added must bring at least this part of what as many of the others bring to be worth it. */
const LEAST_SHARE = 1 / 4;
/** More are tried again so long after they brought nothing, in ms; doubled each time up to the minute. */
const RETRY_MS = 5_000;
const MAX_RETRY_MS = 60_000;

/** How many requests there are when bytes come. */
export interface WidthInUse {
  readonly running: number;
  /** Somebody would use more. */
  readonly isWanted: boolean;
}

/**
 * How many requests to an origin are worth having at once: as few as bring all that comes. More would only share the link, and the first
 * pieces, which others wait for, would all be whole late. Begins with one; doubles as long as the rate goes up, once the first piece is here.
 */
export class OriginWidth {
  readonly #max: number;
  #width = 1;
  #isSettled: boolean;
  /** Requests that were added last. */
  #added = 0;
  /** Bytes per ms without them. */
  #before = 0;
  #sinceMs: number | undefined;
  #bytes = 0;
  #hasPiece = false;
  /** Most requests that there were while the rate was measured. */
  #running = 0;
  #retryMs = RETRY_MS;
  #retryAtMs = Infinity;

  constructor(max: number) {
    this.#max = max;
    this.#isSettled = max <= 1;
  }

  get width(): number {
    return this.#width;
  }

  /** Whether one request beside so many that run is there to see whether more help. */
  isTrial(running: number): boolean {
    return !this.#isSettled && this.#added > 0 && running >= this.#width - this.#added;
  }

  /** A piece is whole: others have something to work on. */
  finished(): void {
    this.#hasPiece = true;
  }

  /** Bytes came, over whichever request. @returns whether more are to be tried */
  received(bytes: number, nowMs: number, { running, isWanted }: WidthInUse): boolean {
    if (this.#isSettled) {
      if (isWanted && nowMs >= this.#retryAtMs) this.#measureAnew(nowMs);
      return false;
    }
    // The first rate is that of a connection that has come up to speed, too: a slow start would make a second one look good.
    this.#sinceMs ??= nowMs + START_MS;
    this.#running = Math.max(this.#running, running);
    if (nowMs < this.#sinceMs) return false;
    this.#bytes += bytes;
    const spanMs = nowMs - this.#sinceMs;
    if (spanMs < SPAN_MS || !this.#hasPiece) return false;
    const rate = this.#bytes / spanMs;
    const isUsed = this.#running >= this.#width;
    this.#sinceMs = nowMs + START_MS;
    this.#bytes = this.#running = 0;
    // Nobody has come to use all of them yet: that says nothing of what they would bring.
    if (!isUsed) return false;
    if (rate < this.#before * (1 + (LEAST_SHARE * this.#added) / Math.max(this.#width - this.#added, 1))) {
      this.#width -= this.#added;
      this.#settle(nowMs);
      return false;
    }
    this.#before = rate;
    this.#added = Math.min(this.#width, this.#max - this.#width);
    if (this.#added === 0) this.#settle(nowMs);
    this.#width += this.#added;
    return !this.#isSettled;
  }

  #settle(nowMs: number): void {
    this.#isSettled = true;
    this.#retryAtMs = this.#width === this.#max ? Infinity : nowMs + this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
  }

  /** First what there is without more. */
  #measureAnew(nowMs: number): void {
    this.#isSettled = false;
    this.#before = this.#bytes = this.#running = this.#added = 0;
    this.#sinceMs = nowMs;
  }
}

import { ProxyRequestError } from '../errors.ts';

/** So many requests a second get through, a second's worth of them at once; the others are told to come back. */
export class RequestRate {
  readonly #perSec: number;
  readonly #now: () => number;
  #left: number;
  #filledAtMs: number;

  /** @param now milliseconds that only grow */
  constructor(perSec: number, now: () => number = () => performance.now()) {
    this.#perSec = perSec;
    this.#now = now;
    this.#left = perSec;
    this.#filledAtMs = now();
  }

  /** @throws {ProxyRequestError} 429 */
  admit(): void {
    const now = this.#now();
    this.#left = Math.min(this.#left + ((now - this.#filledAtMs) / 1000) * this.#perSec, this.#perSec);
    this.#filledAtMs = now;
    if (this.#left < 1) {
      throw new ProxyRequestError(429, `more than ${this.#perSec} requests a second`, { 'retry-after': '1' });
    }
    this.#left -= 1;
  }
}

import { LRUCache } from 'lru-cache';
import { TooManyRequestsError } from '../errors.ts';

export interface AttemptsOptions {
  /** Wrong attempts in a window, until all are refused. */
  readonly limit: number;
  readonly windowMs: number;
  /** Keys remembered; the least recently used are forgotten first. */
  readonly maxKeys: number;
  /** Milliseconds that only go forward. */
  readonly now: () => number;
}

/** Counts wrong attempts by key, such as a name with an address, and refuses further ones for a while. Right ones cost nothing. */
export class Attempts {
  readonly #options: AttemptsOptions;
  readonly #failures: LRUCache<string, { count: number; readonly endsMs: number }>;

  constructor(options: AttemptsOptions) {
    this.#options = options;
    this.#failures = new LRUCache({ max: options.maxKeys });
  }

  /** Counts an attempt as wrong before it is looked at, so that many at once are not all let through. @throws {TooManyRequestsError} */
  begin(key: string): { succeeded(): void } {
    const nowMs = this.#options.now();
    let entry = this.#failures.get(key);
    if (entry === undefined || entry.endsMs <= nowMs) {
      entry = { count: 0, endsMs: nowMs + this.#options.windowMs };
      this.#failures.set(key, entry);
    }
    if (entry.count >= this.#options.limit)
      throw new TooManyRequestsError('too many attempts, wait a moment', entry.endsMs - nowMs);
    const counted = entry;
    counted.count += 1;
    return { succeeded: () => void (counted.count -= 1) };
  }
}

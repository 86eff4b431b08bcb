import { LRUCache } from 'lru-cache';

interface Aged<Value> {
  readonly value: Value;
  /** Unix time in ms. */
  readonly seenAtMs: number;
}

/** A bounded table whose entries know when they were said, so that one entry can be fresh for one purpose and too old for another. */
export class AgedTable<Value extends object> {
  readonly #entries: LRUCache<string, Aged<Value>>;
  readonly #clock: () => number;

  /** @param clock Unix time in ms */
  constructor(maxEntries: number, clock: () => number) {
    this.#entries = new LRUCache({ max: maxEntries });
    this.#clock = clock;
  }

  /** @returns what was said within the time; something said in the future, by a clock that was wrong, is of no age at all */
  get(key: string, maxAgeMs: number): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const ageMs = this.#clock() - entry.seenAtMs;
    return ageMs >= 0 && ageMs <= maxAgeMs ? entry.value : undefined;
  }

  set(key: string, value: Value, seenAtMs: number = this.#clock()): void {
    this.#entries.set(key, { value, seenAtMs });
  }

  seenAtMs(key: string): number | undefined {
    return this.#entries.get(key)?.seenAtMs;
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  /** Oldest use first. */
  *entries(): Generator<Aged<Value> & { readonly key: string }> {
    for (const key of this.#entries.rkeys()) {
      const entry = this.#entries.peek(key);
      if (entry !== undefined) yield { key, ...entry };
    }
  }
}

const NOBODY: readonly never[] = [];

/**
 * A set in the order in which its members came, for lines in which mostly nobody or one waits: a `Set` makes itself a new table whenever
 * its last member leaves. It may be changed while it is iterated; who comes while the line is short, or has been empty meanwhile, is not
 * looked at in that round.
 */
export class Line<T extends object> implements Iterable<T> {
  #only: T | undefined;
  /** From the second member on, until all are gone. */
  #many: Set<T> | undefined;

  get size(): number {
    if (this.#many !== undefined) return this.#many.size;
    return this.#only === undefined ? 0 : 1;
  }

  has(member: T): boolean {
    return this.#many === undefined ? this.#only === member : this.#many.has(member);
  }

  add(member: T): void {
    if (this.#many !== undefined) this.#many.add(member);
    else if (this.#only === undefined) this.#only = member;
    else if (this.#only !== member) {
      this.#many = new Set<T>([this.#only, member]);
      this.#only = undefined;
    }
  }

  /** @returns whether it was there */
  delete(member: T): boolean {
    if (this.#many === undefined) {
      if (this.#only !== member) return false;
      this.#only = undefined;
      return true;
    }
    const wasThere = this.#many.delete(member);
    if (this.#many.size === 0) this.#many = undefined;
    return wasThere;
  }

  clear(): void {
    this.#only = undefined;
    this.#many?.clear();
    this.#many = undefined;
  }

  [Symbol.iterator](): Iterator<T> {
    if (this.#many !== undefined) return this.#many[Symbol.iterator]();
    return (this.#only === undefined ? NOBODY : [this.#only])[Symbol.iterator]();
  }
}

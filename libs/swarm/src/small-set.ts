/** A set that is read. Its order means nothing. */
export interface ReadonlySmallSet<T> extends Iterable<T> {
  readonly size: number;
  has(member: T): boolean;
}

/** From so many members on looking through all of them costs more than a table. */
const MANY = 32;
const NOTHING: readonly never[] = [];

/** A set that mostly has a few members, and then takes a fraction of the memory of a `Set`. It may be changed while it is iterated. */
export class SmallSet<T> implements ReadonlySmallSet<T> {
  #members: readonly T[] | T[] = NOTHING;
  #many: Set<T> | undefined;

  get size(): number {
    return this.#many?.size ?? this.#members.length;
  }

  has(member: T): boolean {
    return this.#many?.has(member) ?? this.#members.includes(member);
  }

  /** @returns whether the set changed */
  add(member: T): boolean {
    if (this.has(member)) return false;
    if (this.#many !== undefined) {
      this.#many.add(member);
    } else if (this.#members.length < MANY) {
      // A longer copy rather than a growing array, which would hold half as much again in reserve.
      this.#members = [...this.#members, member];
    } else {
      this.#many = new Set(this.#members).add(member);
      this.#members = NOTHING;
    }
    return true;
  }

  /** @returns whether the set changed */
  delete(member: T): boolean {
    if (this.#many !== undefined) {
      const isChanged = this.#many.delete(member);
      if (this.#many.size <= MANY / 2) {
        this.#members = [...this.#many];
        this.#many = undefined;
      }
      return isChanged;
    }
    if (!this.#members.includes(member)) return false;
    this.#members = this.#members.length === 1 ? NOTHING : this.#members.filter((other) => other !== member);
    return true;
  }

  [Symbol.iterator](): Iterator<T> {
    return (this.#many === undefined ? this.#members : [...this.#many])[Symbol.iterator]();
  }
}

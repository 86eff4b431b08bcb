/** A set that is read. Its order means nothing. */
export interface ReadonlySmallSet<T> extends Iterable<T> {
  readonly size: number;
  has(member: T): boolean;
}

/** From so many members on looking through all of them costs more than a table. */
const MANY = 32;
/** Never changed. */
const NOTHING: never[] = [];

/** A set that mostly has a few members, and then takes a fraction of the memory of a `Set`. It may be changed while it is iterated. */
export class SmallSet<T> implements ReadonlySmallSet<T> {
  #members: T[] = NOTHING;
  /** Somebody may be looking through the members: they are replaced then instead of changed. */
  #isLent = false;
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
    } else if (this.#members.length === 0) {
      this.#members = [member];
      this.#isLent = false;
    } else if (this.#members.length < MANY) {
      if (this.#isLent) this.#replace();
      this.#members.push(member);
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
        this.#isLent = false;
        this.#many = undefined;
      }
      return isChanged;
    }
    const place = this.#members.indexOf(member);
    if (place < 0) return false;
    if (this.#members.length === 1) {
      this.#members = NOTHING;
      return true;
    }
    if (this.#isLent) this.#replace();
    removePlace(this.#members, place);
    return true;
  }

  /** Takes all members out. */
  takeAll(): readonly T[] {
    const taken = this.#many === undefined ? this.#members : [...this.#many];
    this.#members = NOTHING;
    this.#many = undefined;
    return taken;
  }

  [Symbol.iterator](): Iterator<T> {
    if (this.#many !== undefined) return [...this.#many][Symbol.iterator]();
    this.#isLent = true;
    return this.#members[Symbol.iterator]();
  }

  #replace(): void {
    this.#members = this.#members.slice();
    this.#isLent = false;
  }
}

// By hand: `splice` takes several times as long, and makes an array of what it takes out.
function removePlace<T>(members: T[], place: number): void {
  const last = members.length - 1;
  for (let index = place; index < last; index++) members[index] = members[index + 1] as T;
  members.pop();
}

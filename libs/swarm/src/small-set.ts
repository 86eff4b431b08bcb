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
  /** Never changed, only replaced: an array that grows holds as much again in reserve. */
  #members: readonly T[] = NOTHING;
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
      this.#members = withMember(this.#members, member);
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
    const place = this.#members.indexOf(member);
    if (place < 0) return false;
    this.#members = withoutPlace(this.#members, place);
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
    return (this.#many === undefined ? this.#members : [...this.#many])[Symbol.iterator]();
  }
}

// By hand: `[...members, member]` takes three times as long, and reserves room for sixteen more.
function withMember<T>(members: readonly T[], member: T): readonly T[] {
  const length = members.length;
  const longer = new Array<T>(length + 1);
  for (let index = 0; index < length; index++) longer[index] = members[index] as T;
  longer[length] = member;
  return longer;
}

function withoutPlace<T>(members: readonly T[], place: number): readonly T[] {
  const length = members.length - 1;
  if (length === 0) return NOTHING;
  const shorter = new Array<T>(length);
  for (let index = 0; index < length; index++) shorter[index] = members[index < place ? index : index + 1] as T;
  return shorter;
}

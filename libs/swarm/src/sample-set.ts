/** A set from which members can be drawn at random in constant time. Its order means nothing. */
export interface ReadonlySampleSet<T> extends Iterable<T> {
  readonly size: number;
  has(member: T): boolean;
  /**
   * Up to `count` different members, drawn uniformly; all of them, in any order, when there are no more.
   * @param random uniform in [0, 1)
   */
  sample(count: number, random: () => number): readonly T[];
}

/** Where members note their place in the sets that they belong to. */
export type Placed<Key extends string> = Record<Key, number>;

/** What a member notes while it is in no set of the kind. */
export const NOWHERE = -1;

/** Members note their place themselves, one number for each kind of set, so that a set costs eight bytes a member. */
export class SampleSet<Key extends string, T extends Placed<Key>> implements ReadonlySampleSet<T> {
  readonly #key: Key;
  readonly #members: T[] = [];

  /** @param key the field in which members note their place; nobody is in two sets of one key */
  constructor(key: Key) {
    this.#key = key;
  }

  get size(): number {
    return this.#members.length;
  }

  has(member: T): boolean {
    return this.#members[member[this.#key]] === member;
  }

  /** @returns whether the set changed */
  add(member: T): boolean {
    if (this.has(member)) return false;
    this.#place(member, this.#members.push(member) - 1);
    return true;
  }

  /** @returns whether the set changed */
  delete(member: T): boolean {
    if (!this.has(member)) return false;
    const place = member[this.#key];
    const last = this.#members.pop();
    if (last !== undefined && last !== member) {
      this.#members[place] = last;
      this.#place(last, place);
    }
    this.#place(member, NOWHERE);
    return true;
  }

  sample(count: number, random: () => number): readonly T[] {
    const members = this.#members;
    if (count >= members.length) return [...members];
    // Floyd's sampling: one draw per member taken, whatever the size of the set.
    const drawn = new Set<number>();
    for (let upper = members.length - count; upper < members.length; upper++) {
      const index = Math.floor(random() * (upper + 1));
      drawn.add(drawn.has(index) ? upper : index);
    }
    return [...drawn].flatMap((index) => members[index] ?? []);
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#members[Symbol.iterator]();
  }

  #place(member: Placed<Key>, place: number): void {
    member[this.#key] = place;
  }
}

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

export class SampleSet<T> implements ReadonlySampleSet<T> {
  readonly #members: T[] = [];
  readonly #positions = new Map<T, number>();

  get size(): number {
    return this.#members.length;
  }

  has(member: T): boolean {
    return this.#positions.has(member);
  }

  /** @returns whether the set changed */
  add(member: T): boolean {
    if (this.#positions.has(member)) return false;
    this.#positions.set(member, this.#members.length);
    this.#members.push(member);
    return true;
  }

  /** @returns whether the set changed */
  delete(member: T): boolean {
    const position = this.#positions.get(member);
    if (position === undefined) return false;
    this.#positions.delete(member);
    const last = this.#members.pop();
    if (last !== undefined && last !== member) {
      this.#members[position] = last;
      this.#positions.set(last, position);
    }
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
    return [...drawn].flatMap((index) => {
      const member = members[index];
      return member === undefined ? [] : [member];
    });
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#members[Symbol.iterator]();
  }
}

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

/** From so many draws on a table tells those that were drawn faster than looking through them. */
const MANY_DRAWS = 32;

/** A set whose members note their place themselves, one number for each kind of set, so that it costs eight bytes a member. */
export interface SampleSet<T> extends ReadonlySampleSet<T> {
  /** @returns whether the set changed */
  add(member: T): boolean;
  /** @returns whether the set changed */
  delete(member: T): boolean;
}

/**
 * Makes a kind of set. Each kind has code of its own, in which the field is always the same: looking it up by name costs more than
 * all the rest.
 * @param key the field in which members note their place; nobody is in two sets of one kind
 */
export function sampleSetBy<Key extends string>(key: Key): new <T extends Placed<Key>>() => SampleSet<T> {
  return class<T extends Placed<Key>> implements SampleSet<T> {
    readonly #members: T[] = [];

    get size(): number {
      return this.#members.length;
    }

    has(member: T): boolean {
      const at = member[key];
      // Looked at first: an array is slow to tell what it has outside of its bounds.
      return at >= 0 && at < this.#members.length && this.#members[at] === member;
    }

    add(member: T): boolean {
      if (this.has(member)) return false;
      place(member, this.#members.push(member) - 1);
      return true;
    }

    delete(member: T): boolean {
      if (!this.has(member)) return false;
      const at = member[key];
      const last = this.#members.pop();
      if (last !== undefined && last !== member) {
        this.#members[at] = last;
        place(last, at);
      }
      place(member, NOWHERE);
      return true;
    }

    sample(count: number, random: () => number): readonly T[] {
      const members = this.#members;
      if (count >= members.length) return members.slice();
      const drawn = drawIndices(members.length, count, random);
      const sample: T[] = [];
      for (const index of drawn) sample.push(members[index] as T);
      return sample;
    }

    [Symbol.iterator](): Iterator<T> {
      return this.#members[Symbol.iterator]();
    }
  };

  function place(member: Placed<Key>, at: number): void {
    member[key] = at;
  }
}

/** Floyd's sampling: one draw per index, whatever their number. @param count below `length` */
function drawIndices(length: number, count: number, random: () => number): Iterable<number> {
  const drawn: number[] = [];
  const table = count > MANY_DRAWS ? new Set<number>() : undefined;
  for (let upper = length - count; upper < length; upper++) {
    const index = Math.floor(random() * (upper + 1));
    const next = (table?.has(index) ?? drawn.includes(index)) ? upper : index;
    drawn.push(next);
    table?.add(next);
  }
  return drawn;
}

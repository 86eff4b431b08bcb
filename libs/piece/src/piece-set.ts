import { PieceOutOfRangeError } from './errors.ts';
import { MAX_PIECE_COUNT } from './layout.ts';

/** A set of piece numbers, one bit each. Owned and changed by whoever made it; others get it read-only. */
export interface ReadonlyPieceSet extends Iterable<number> {
  /** How many pieces are in the set. */
  readonly size: number;
  has(pieceNumber: number): boolean;
  /** The smallest number at or after `from` that is not in the set; may lie past the last piece. */
  firstMissing(from?: number): number;
  /** 32 members at a time: bit `b` of word `index` stands for piece `32 × index + b`. */
  wordAt(index: number): number;
}

const NO_WORDS = new Uint32Array(0);
const FIRST_WORDS = 16;

export class PieceSet implements ReadonlyPieceSet {
  /** Sets of nothing, of which there are many, share theirs. */
  #words: Uint32Array = NO_WORDS;
  #size = 0;

  /** @param pieceNumbers what the set starts with */
  constructor(pieceNumbers?: Iterable<number>) {
    if (pieceNumbers === undefined) return;
    for (const pieceNumber of pieceNumbers) this.add(pieceNumber);
  }

  /** The numbers 0 … count-1. */
  static upTo(count: number): PieceSet {
    const set = new PieceSet();
    for (let pieceNumber = 0; pieceNumber < count; pieceNumber++) set.add(pieceNumber);
    return set;
  }

  /** What is in this one and in none of the others. */
  minus(...others: readonly Pick<ReadonlyPieceSet, 'wordAt'>[]): PieceSet {
    const rest = new PieceSet();
    rest.#words = this.#words.slice();
    for (const [index, word] of rest.#words.entries()) {
      if (word === 0) continue;
      const left = others.reduce((bits, other) => bits & ~other.wordAt(index), word);
      rest.#words[index] = left;
      for (let bits = left; bits !== 0; bits &= bits - 1) rest.#size++;
    }
    return rest;
  }

  get size(): number {
    return this.#size;
  }

  has(pieceNumber: number): boolean {
    return isPieceNumber(pieceNumber) && ((this.#words[pieceNumber >>> 5] ?? 0) & (1 << (pieceNumber & 31))) !== 0;
  }

  /**
   * @returns whether the set changed
   * @throws {PieceOutOfRangeError} when no task can have such a piece: memory is not spent on what a peer made up
   */
  add(pieceNumber: number): boolean {
    if (!isPieceNumber(pieceNumber)) throw new PieceOutOfRangeError(pieceNumber, MAX_PIECE_COUNT);
    if (this.has(pieceNumber)) return false;
    const word = pieceNumber >>> 5;
    if (word >= this.#words.length) {
      const grown = new Uint32Array(Math.max(word + 1, this.#words.length * 2, FIRST_WORDS));
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words[word] = (this.#words[word] ?? 0) | (1 << (pieceNumber & 31));
    this.#size++;
    return true;
  }

  /** @returns whether the set changed */
  delete(pieceNumber: number): boolean {
    if (!this.has(pieceNumber)) return false;
    const word = pieceNumber >>> 5;
    this.#words[word] = (this.#words[word] ?? 0) & ~(1 << (pieceNumber & 31));
    this.#size--;
    return true;
  }

  firstMissing(from = 0): number {
    let pieceNumber = from;
    while (this.has(pieceNumber)) {
      // Whole words at a time where they are full.
      pieceNumber += (pieceNumber & 31) === 0 && this.#words[pieceNumber >>> 5] === 0xffffffff ? 32 : 1;
    }
    return pieceNumber;
  }

  wordAt(index: number): number {
    return this.#words[index] ?? 0;
  }

  *[Symbol.iterator](): Iterator<number> {
    for (const [index, word] of this.#words.entries()) {
      for (let rest = word; rest !== 0; rest &= rest - 1) yield index * 32 + (31 - Math.clz32(rest & -rest));
    }
  }
}

function isPieceNumber(value: number): boolean {
  return value >>> 0 === value && value < MAX_PIECE_COUNT;
}

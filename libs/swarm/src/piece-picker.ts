// Who owns what: the picker owns what one download knows of its parents' pieces, as counts and bits that change with every announcement
// and departure, so that a choice looks at 32 pieces at a time and never at every piece of every parent. What is wanted stays its caller's.
import type { ReadonlyPieceSet } from '@d7y/piece';

/**
 * Of the pieces that nobody waits for: any one, for a peer that has nothing yet to give to others; the one that the fewest parents have; or
 * the first, where none can be rare: what hashes the whole likes that best.
 */
export type PieceOrder = 'random' | 'rarest' | 'ascending';

/** By what a piece is chosen. */
export interface PickRule {
  /** Pieces still wanted and not in flight. */
  readonly wanted: Pick<ReadonlyPieceSet, 'has' | 'wordAt'>;
  readonly order: PieceOrder;
  /** No parent gets more pieces at once than this. */
  readonly maxPerParent: number;
  /** Whose pieces count for rarity, but who is not to be asked now. */
  readonly isExcluded?: ((slot: number) => boolean) | undefined;
  /** Pieces that few in the swarm have: of those that are equally rare among the parents they come first. */
  readonly hot?: Pick<ReadonlyPieceSet, 'wordAt'> | undefined;
  /** Pieces that somebody waits for, the most urgent first: taken before all others. */
  readonly urgent?: Iterable<number> | undefined;
}

/** A piece, and the slot of the parent that is to be asked for it. */
export interface PickedPiece {
  readonly pieceNumber: number;
  readonly slot: number;
}

const WORD_BITS = 32;
/** Keeps the load of a parent without known bandwidth finite. */
const SMALLEST_WEIGHT = 1e-9;
const ABSENT = 0;
const RESTING = 1;
const USABLE = 2;
// Of each slot one row of numbers, so that what is looked at together stands together: these, then the words of the pieces its parent has.
const PRESENCE = 0;
const IN_FLIGHT = 1;
/** How many pieces it has. */
const HELD_COUNT = 2;
const HELD = 3;

/**
 * Chooses the pieces of one download. Parents sit in slots, small numbers that are given out again after they left. An announcement costs
 * constant time, a choice one look at each word of 32 pieces per parent and at each piece that could be had now.
 */
export class PiecePicker {
  readonly #random: () => number;
  readonly #wordCount: number;
  readonly #rowLength: number;
  /** Of each piece: how many usable parents have it. */
  readonly #holders: Uint16Array;
  /** Scratch: the pieces that may be had now, from anybody. */
  readonly #reachable: Uint32Array;
  #rows: Int32Array;
  #weights: Float64Array;
  /** Slots in use lie below. */
  #slotEnd = 0;

  /**
   * @param options.random uniform in [0, 1)
   * @param options.slots parents for which there is room at once; more make it grow
   */
  constructor(pieceCount: number, { random, slots = 8 }: { readonly random: () => number; readonly slots?: number }) {
    this.#random = random;
    this.#wordCount = Math.ceil(pieceCount / WORD_BITS);
    this.#holders = new Uint16Array(pieceCount);
    this.#rowLength = HELD + this.#wordCount;
    this.#reachable = new Uint32Array(this.#wordCount);
    this.#rows = new Int32Array(this.#rowLength * slots);
    this.#weights = new Float64Array(slots);
  }

  /** @param weight idle bandwidth relative to the other parents; a parent with twice the weight gets twice the pieces */
  addParent(weight = 1): number {
    let slot = 0;
    while (slot < this.#slotEnd && this.#presenceOf(slot) !== ABSENT) slot++;
    if (slot === this.#weights.length) this.#grow();
    this.#slotEnd = Math.max(this.#slotEnd, slot + 1);
    const row = slot * this.#rowLength;
    this.#rows.fill(0, row, row + this.#rowLength);
    this.#rows[row + PRESENCE] = USABLE;
    this.#weights[slot] = weight;
    return slot;
  }

  /** The parent is gone, and with it what is under way from it. */
  removeParent(slot: number): void {
    this.setUsable(slot, false);
    this.#rows[slot * this.#rowLength + PRESENCE] = ABSENT;
    while (this.#slotEnd > 0 && this.#presenceOf(this.#slotEnd - 1) === ABSENT) this.#slotEnd--;
  }

  /** A parent that cannot be used at present counts neither as a choice nor for rarity; what it has is remembered. */
  setUsable(slot: number, isUsable: boolean): void {
    const presence = isUsable ? USABLE : RESTING;
    const before = this.#presenceOf(slot);
    if (before === presence || before === ABSENT) return;
    this.#rows[slot * this.#rowLength + PRESENCE] = presence;
    const change = isUsable ? 1 : -1;
    for (let word = 0; word < this.#wordCount; word++) {
      for (let rest = this.#heldWord(slot, word); rest !== 0; rest &= rest - 1)
        this.#count(word * WORD_BITS + lowestBit(rest), change);
    }
  }

  setWeight(slot: number, weight: number): void {
    this.#weights[slot] = weight;
  }

  has(slot: number, pieceNumber: number): boolean {
    if (pieceNumber >= this.#holders.length) return false;
    return (this.#heldWord(slot, pieceNumber >>> 5) & (1 << (pieceNumber & 31))) !== 0;
  }

  /** How many pieces it has. */
  heldBy(slot: number): number {
    return this.#rows[slot * this.#rowLength + HELD_COUNT] ?? 0;
  }

  /** Whether it has one of these, usable or not. */
  hasAnyOf(slot: number, pieces: Pick<ReadonlyPieceSet, 'wordAt'>): boolean {
    for (let word = 0; word < this.#wordCount; word++)
      if ((this.#heldWord(slot, word) & pieces.wordAt(word)) !== 0) return true;
    return false;
  }

  /** @returns whether that was not known. Pieces that the task does not have are not believed. */
  announced(slot: number, pieceNumber: number): boolean {
    const row = slot * this.#rowLength;
    const presence = this.#rows[row + PRESENCE] ?? ABSENT;
    if (pieceNumber >= this.#holders.length || presence === ABSENT) return false;
    const at = row + HELD + (pieceNumber >>> 5);
    const word = this.#rows[at] ?? 0;
    const bit = 1 << (pieceNumber & 31);
    if ((word & bit) !== 0) return false;
    this.#rows[at] = word | bit;
    this.#rows[row + HELD_COUNT] = (this.#rows[row + HELD_COUNT] ?? 0) + 1;
    if (presence === USABLE) this.#count(pieceNumber, 1);
    return true;
  }

  /** The parent does not have the piece after all. @returns whether it was thought to */
  retracted(slot: number, pieceNumber: number): boolean {
    const row = slot * this.#rowLength;
    if (!this.has(slot, pieceNumber) || this.#rows[row + PRESENCE] === ABSENT) return false;
    const at = row + HELD + (pieceNumber >>> 5);
    this.#rows[at] = (this.#rows[at] ?? 0) & ~(1 << (pieceNumber & 31));
    this.#rows[row + HELD_COUNT] = (this.#rows[row + HELD_COUNT] ?? 0) - 1;
    if (this.#rows[row + PRESENCE] === USABLE) this.#count(pieceNumber, -1);
    return true;
  }

  /** A piece is being fetched from it. */
  begun(slot: number): void {
    this.#rows[slot * this.#rowLength + IN_FLIGHT] = this.inFlight(slot) + 1;
  }

  /** That is over, one way or the other. */
  ended(slot: number): void {
    this.#rows[slot * this.#rowLength + IN_FLIGHT] = Math.max(this.inFlight(slot) - 1, 0);
  }

  inFlight(slot: number): number {
    return this.#rows[slot * this.#rowLength + IN_FLIGHT] ?? 0;
  }

  /** How many usable parents have the piece. */
  holdersOf(pieceNumber: number): number {
    return this.#holders[pieceNumber] ?? 0;
  }

  /**
   * The piece to fetch next, and from whom. First what is urgent, in its order. Of the rest the one that the order names, hot ones before others and ties at random, so
   * that rare pieces spread before their last holder leaves and no two children ask for the same ones. Of its holders the one with the
   * least load for its weight. Parents without a free place count for rarity but are not chosen.
   * @returns undefined when no parent with a free place has a wanted piece
   */
  pick({ wanted, order, maxPerParent, isExcluded, urgent, hot }: PickRule): PickedPiece | undefined {
    if (!this.#reach(maxPerParent, isExcluded)) return undefined;
    if (urgent !== undefined) {
      for (const pieceNumber of urgent) {
        if (!this.#isReachable(pieceNumber) || !wanted.has(pieceNumber)) continue;
        return { pieceNumber, slot: this.pickHolder(pieceNumber, maxPerParent, isExcluded) };
      }
    }
    const pieceNumber = this.#choose({ wanted, order, hot });
    if (pieceNumber < 0) return undefined;
    return { pieceNumber, slot: this.pickHolder(pieceNumber, maxPerParent, isExcluded) };
  }

  /**
   * The piece to ask of this parent, that has place for one: first what is urgent, then as `pick` does.
   * @returns -1 when it has nothing that is wanted
   */
  pickFrom(slot: number, rule: Pick<PickRule, 'wanted' | 'order' | 'hot' | 'urgent'>): number {
    if (this.#presenceOf(slot) !== USABLE) return -1;
    for (const pieceNumber of rule.urgent ?? [])
      if (this.has(slot, pieceNumber) && rule.wanted.has(pieceNumber)) return pieceNumber;
    for (let word = 0; word < this.#wordCount; word++) this.#reachable[word] = this.#heldWord(slot, word);
    return this.#choose(rule);
  }

  /** Whether this parent has something that is wanted. */
  hasFor(slot: number, wanted: Pick<ReadonlyPieceSet, 'wordAt'>): boolean {
    const row = slot * this.#rowLength;
    if (this.#rows[row + PRESENCE] !== USABLE) return false;
    for (let word = 0; word < this.#wordCount; word++)
      if (((this.#rows[row + HELD + word] ?? 0) & wanted.wordAt(word)) !== 0) return true;
    return false;
  }

  /**
   * Whom to ask for this piece: of the usable parents that have it and a free place the one with the least load for its weight.
   * @param isExcluded who is not to be asked
   * @returns its slot; -1 when there is none
   */
  pickHolder(pieceNumber: number, maxPerParent: number, isExcluded?: (slot: number) => boolean): number {
    let best = -1;
    let bestLoad = Infinity;
    let ties = 0;
    for (let slot = 0; slot < this.#slotEnd; slot++) {
      const inFlight = this.inFlight(slot);
      if (this.#presenceOf(slot) !== USABLE || inFlight >= maxPerParent || !this.has(slot, pieceNumber)) continue;
      if (isExcluded?.(slot) === true) continue;
      const load = (inFlight + 1) / Math.max(this.#weights[slot] ?? 0, SMALLEST_WEIGHT);
      if (load > bestLoad) continue;
      // The k-th of equals replaces the one held so far with probability 1/k: uniform without a list of them.
      ties = load === bestLoad ? ties + 1 : 1;
      bestLoad = load;
      if (ties === 1 || this.#random() * ties < 1) best = slot;
    }
    return best;
  }

  /** Notes what parents with a free place have. @returns whether there is one */
  #reach(maxPerParent: number, isExcluded: PickRule['isExcluded']): boolean {
    const reachable = this.#reachable;
    const words = this.#wordCount;
    let isAnyFree = false;
    reachable.fill(0);
    for (let slot = 0; slot < this.#slotEnd; slot++) {
      if (this.#presenceOf(slot) !== USABLE || this.inFlight(slot) >= maxPerParent) continue;
      if (isExcluded?.(slot) === true) continue;
      isAnyFree = true;
      for (let word = 0; word < words; word++) reachable[word] = (reachable[word] ?? 0) | this.#heldWord(slot, word);
    }
    return isAnyFree;
  }

  #isReachable(pieceNumber: number): boolean {
    return ((this.#reachable[pieceNumber >>> 5] ?? 0) & (1 << (pieceNumber & 31))) !== 0;
  }

  /** @returns -1 when nothing wanted can be had */
  #choose({ wanted, order, hot }: Pick<PickRule, 'wanted' | 'order' | 'hot'>): number {
    let chosen = -1;
    let fewest = Infinity;
    let ties = 0;
    for (let word = 0; word < this.#wordCount; word++) {
      const reachable = this.#reachable[word] ?? 0;
      if (reachable === 0) continue;
      const hotWord = hot?.wordAt(word) ?? 0;
      for (let rest = reachable & wanted.wordAt(word); rest !== 0; rest &= rest - 1) {
        const pieceNumber = word * WORD_BITS + lowestBit(rest);
        if (order === 'ascending') return pieceNumber;
        const isHot = (hotWord & rest & -rest) !== 0;
        // What is hot comes before what is not, but after whatever fewer parents have.
        const rarity = order === 'random' ? 0 : 2 * (this.#holders[pieceNumber] ?? 0) + (isHot ? 0 : 1);
        if (rarity > fewest) continue;
        ties = rarity === fewest ? ties + 1 : 1;
        fewest = rarity;
        if (ties === 1 || this.#random() * ties < 1) chosen = pieceNumber;
      }
    }
    return chosen;
  }

  #presenceOf(slot: number): number {
    return this.#rows[slot * this.#rowLength + PRESENCE] ?? ABSENT;
  }

  #heldWord(slot: number, word: number): number {
    return this.#rows[slot * this.#rowLength + HELD + word] ?? 0;
  }

  #count(pieceNumber: number, change: number): void {
    this.#holders[pieceNumber] = (this.#holders[pieceNumber] ?? 0) + change;
  }

  #grow(): void {
    const slots = Math.max(this.#weights.length * 2, 1);
    const rows = new Int32Array(this.#rowLength * slots);
    const weights = new Float64Array(slots);
    rows.set(this.#rows);
    weights.set(this.#weights);
    this.#rows = rows;
    this.#weights = weights;
  }
}

const lowestBit = (word: number): number => 31 - Math.clz32(word & -word);

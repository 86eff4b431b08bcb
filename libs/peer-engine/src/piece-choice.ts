// Who owns what: which parents there are is the task's list of them (`TaskParents`); what each has and how much is asked of it is here, in
// the counts of one picker, from the first announcement to the last.
import type { ReadonlyPieceSet } from '@d7y/piece';
import { PiecePicker } from '@d7y/swarm';
import type { ParentStandings } from './parent-standing.ts';
import { pieceOrder } from './piece-order.ts';
import type { Progress } from './progress.ts';
import type { ParentState } from './task-parents.ts';

/** Pieces asked at the same time of a parent that has everything: enough that its link never waits for our next request. */
const MAX_PER_COMPLETE = 4;
/**
 * The same of one that is fetching itself. What is asked early is chosen early, of the little that it has by then: with one at a time a
 * choice is made when it counts, and children ask each other for different pieces.
 */
const MAX_PER_PARTIAL = 1;
/** The same where there is nobody else to ask: then there is nothing to choose, and one more request keeps its link busy. */
const MAX_PER_LONE_PARTIAL = 2;
/** With pieces that were asked of another parent first a parent may get so many times as many. */
const HEDGED_FACTOR = 2;

/** A piece, and the parent to ask for it. */
export interface ChosenPiece {
  readonly pieceNumber: number;
  readonly state: ParentState;
}

export interface PieceChoiceInit {
  readonly progress: Pick<Progress, 'layout'> & { readonly stored: Pick<Progress['stored'], 'finishedPieces'> };
  readonly standings: Pick<ParentStandings, 'weight'>;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** What the parents of one task have, and which piece to ask of whom. A parent that has left is not asked, whatever is said of it later. */
export class PieceChoice {
  readonly #init: PieceChoiceInit;
  readonly #picker: PiecePicker;
  readonly #slots = new Map<ParentState, number>();
  readonly #states: (ParentState | undefined)[] = [];

  constructor(init: PieceChoiceInit) {
    this.#init = init;
    this.#picker = new PiecePicker(init.progress.layout.pieceCount, init);
  }

  /** Pieces that it is asked for at this moment. */
  inFlightOf(state: ParentState): number {
    const slot = this.#slots.get(state);
    return slot === undefined ? 0 : this.#picker.inFlight(slot);
  }

  joined(state: ParentState): void {
    const slot = this.#picker.addParent();
    this.#slots.set(state, slot);
    this.#states[slot] = state;
  }

  left(state: ParentState): void {
    const slot = this.#slots.get(state);
    if (slot === undefined) return;
    this.#picker.removeParent(slot);
    this.#slots.delete(state);
    this.#states[slot] = undefined;
  }

  /** The parent has this piece. @returns whether that was not known */
  learned(state: ParentState, pieceNumber: number): boolean {
    const slot = this.#slots.get(state);
    return slot !== undefined && this.#picker.announced(slot, pieceNumber);
  }

  /** The parent does not have the piece after all. */
  lacks(state: ParentState, pieceNumber: number): void {
    const slot = this.#slots.get(state);
    if (slot !== undefined) this.#picker.retracted(slot, pieceNumber);
  }

  /** A piece is asked of it. */
  begun(state: ParentState): void {
    const slot = this.#slots.get(state);
    if (slot !== undefined) this.#picker.begun(slot);
  }

  /** That is over, one way or the other. */
  ended(state: ParentState): void {
    const slot = this.#slots.get(state);
    if (slot !== undefined) this.#picker.ended(slot);
  }

  /** Whether it has one of these pieces, be it of use at present or not. */
  hasAnyOf(state: ParentState, pieces: ReadonlyPieceSet): boolean {
    const slot = this.#slots.get(state);
    return slot !== undefined && this.#picker.hasAnyOf(slot, pieces);
  }

  /**
   * The piece to fetch next, and from whom: from a neighbour, where one has something for us, before those that are there for what neighbours
   * do not bring, and from a parent that stalls only what nobody else has.
   * @param options.urgent pieces that somebody waits for, the most urgent first; @param options.mayAsk parents that want to be waited for are left out
   * @returns undefined when nobody with a free place has a wanted piece
   */
  pick({
    wanted,
    urgent,
    hot,
    mayAsk = () => true,
  }: {
    readonly wanted: ReadonlyPieceSet;
    readonly urgent: () => Iterable<number>;
    /** Pieces that few in the swarm have, where somebody said so. */
    readonly hot?: ReadonlyPieceSet | undefined;
    /** Who may be asked unasked; all, unless given. */
    readonly mayAsk?: ((state: ParentState) => boolean) | undefined;
  }): ChosenPiece | undefined {
    if (wanted.size === 0) return undefined;
    this.#refresh();
    const order = this.#order();
    const neighbour = this.#pickWhere(
      { wanted, urgent: urgent(), hot, order },
      (state) => state.parent.isFallback !== true && mayAsk(state),
    );
    return neighbour ?? this.#pickWhere({ wanted, urgent: urgent(), hot, order }, mayAsk) ?? this.#pickTrial(wanted);
  }

  /**
   * The piece to ask of this parent, which has a place for it.
   * @returns undefined when it has nothing that is wanted, or cannot be used now
   */
  pickFrom(
    state: ParentState,
    { wanted, urgent, hot }: Pick<Parameters<PieceChoice['pick']>[0], 'wanted' | 'urgent' | 'hot'>,
  ): ChosenPiece | undefined {
    const slot = this.#slots.get(state);
    if (slot === undefined || wanted.size === 0) return undefined;
    this.#refresh();
    const pieceNumber = this.#picker.pickFrom(slot, { wanted, urgent: urgent(), hot, order: this.#order() });
    return pieceNumber < 0 ? undefined : { pieceNumber, state };
  }

  /** Whom else to ask for a piece that is late. @param asked peer ids of those who were asked */
  pickOther(pieceNumber: number, asked: ReadonlySet<string>): ParentState | undefined {
    this.#refresh();
    const slot = this.#picker.pickHolder(
      pieceNumber,
      MAX_PER_COMPLETE * HEDGED_FACTOR,
      (candidate) => this.#isAmong(candidate, asked) || this.#isFull(candidate, HEDGED_FACTOR),
    );
    return this.#states[slot];
  }

  /** Somebody else has the piece, though perhaps no free place now. */
  hasOtherHolder(pieceNumber: number, asked: ReadonlySet<string>): boolean {
    this.#refresh();
    return this.#picker.pickHolder(pieceNumber, Infinity, (candidate) => this.#isAmong(candidate, asked)) >= 0;
  }

  /** Addresses come and stalls pass while nothing is chosen, and weights change all the time. */
  #refresh(): void {
    for (const [state, slot] of this.#slots) {
      this.#picker.setUsable(slot, state.address !== undefined && !state.isStalling);
      this.#picker.setWeight(slot, this.#init.standings.weight(state.parent));
    }
  }

  #order() {
    const parents = [...this.#slots].map(([state, slot]) => ({
      isSeed: state.parent.isSeed,
      isComplete: this.#isComplete(state, slot),
    }));
    return pieceOrder({ finished: this.#init.progress.stored.finishedPieces.size, parents });
  }

  #pickWhere(
    rule: Pick<Parameters<PiecePicker['pick']>[0], 'wanted' | 'urgent' | 'hot' | 'order'>,
    isAskable: (state: ParentState) => boolean,
  ): ChosenPiece | undefined {
    const isExcluded = (slot: number): boolean => {
      const state = this.#states[slot];
      return state === undefined || !isAskable(state) || this.#isFull(slot);
    };
    const picked = this.#picker.pick({ ...rule, maxPerParent: MAX_PER_COMPLETE, isExcluded });
    const state = picked && this.#states[picked.slot];
    return state && { pieceNumber: picked.pieceNumber, state };
  }

  /**
   * What only stalling parents have is asked of one of them that has nothing to do: whether it still stalls shows with a new transfer alone,
   * and nobody else would ever bring the piece.
   */
  #pickTrial(wanted: ReadonlyPieceSet): ChosenPiece | undefined {
    const resting = [...this.#slots].filter(
      ([{ address, isStalling }, slot]) =>
        address !== undefined && isStalling && this.#picker.inFlight(slot) === 0 && this.#picker.hasAnyOf(slot, wanted),
    );
    if (resting.length === 0) return undefined;
    for (const pieceNumber of wanted) {
      // Whoever does not stall counts as a holder, and nobody else.
      if (this.#picker.holdersOf(pieceNumber) > 0) continue;
      const found = resting.find(([, slot]) => this.#picker.has(slot, pieceNumber));
      if (found !== undefined) return { pieceNumber, state: found[0] };
    }
    return undefined;
  }

  #isComplete({ asked }: ParentState, slot: number): boolean {
    return this.#picker.heldBy(slot) >= asked;
  }

  #isFull(slot: number, factor = 1): boolean {
    const state = this.#states[slot];
    if (state === undefined) return true;
    const partial = this.#slots.size === 1 ? MAX_PER_LONE_PARTIAL : MAX_PER_PARTIAL;
    const limit = this.#isComplete(state, slot) ? MAX_PER_COMPLETE : partial;
    return this.#picker.inFlight(slot) >= limit * factor;
  }

  #isAmong(slot: number, asked: ReadonlySet<string>): boolean {
    const state = this.#states[slot];
    return state === undefined || asked.has(state.parent.peerId);
  }
}

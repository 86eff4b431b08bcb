import type { ReadonlyPieceSet } from '@d7y/piece';
import { PiecePicker } from './piece-picker.ts';
import type { PieceOrder } from './piece-picker.ts';

/** A parent as a downloading daemon sees it at this moment. */
export interface PieceCandidateParent {
  readonly id: string;
  /** Pieces the parent has announced. */
  readonly pieces: ReadonlyPieceSet;
  /** Pieces being fetched from it right now. */
  readonly inFlight: number;
  /** Idle bandwidth relative to the other parents; a parent with twice the weight gets twice the pieces. */
  readonly weight: number;
}

/** What the next piece is chosen from. */
export interface PieceChoiceInput {
  /** Pieces still wanted and not in flight. */
  readonly wanted: ReadonlyPieceSet;
  readonly parents: readonly PieceCandidateParent[];
  /** Pieces that somebody waits for, the most urgent first: taken before all others. */
  readonly urgent?: Iterable<number>;
  /** Rarest by default. */
  readonly order?: PieceOrder;
  /** No parent gets more pieces at once than this. */
  readonly maxPerParent: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/**
 * One choice of a `PiecePicker` from scratch, for tests that keep no picker: one pass over the pieces of all parents.
 * @returns undefined when no parent with a free slot has a wanted piece
 */
export function choosePiece(input: PieceChoiceInput): { pieceNumber: number; parentId: string } | undefined {
  const { wanted, parents, urgent, order = 'rarest', maxPerParent } = input;
  const picked = pickerOf(input).pick({ wanted, order, maxPerParent, urgent });
  const parentId = picked === undefined ? undefined : parents[picked.slot]?.id;
  return picked === undefined || parentId === undefined ? undefined : { pieceNumber: picked.pieceNumber, parentId };
}

/**
 * Whom else to ask for a piece that is late at one parent: of the parents that have it and a free slot the one with the least load for
 * its weight.
 * @param parents without those that were asked already
 */
export function chooseHolder(
  pieceNumber: number,
  input: Pick<PieceChoiceInput, 'parents' | 'maxPerParent' | 'random'>,
): string | undefined {
  return input.parents[pickerOf(input).pickHolder(pieceNumber, input.maxPerParent)]?.id;
}

/** Parents sit in the slots of their positions. */
function pickerOf({ parents, random }: Pick<PieceChoiceInput, 'parents' | 'random'>): PiecePicker {
  let end = 0;
  for (const { pieces } of parents) for (const pieceNumber of pieces) end = Math.max(end, pieceNumber + 1);
  const picker = new PiecePicker(end, { random, slots: parents.length });
  for (const { pieces, inFlight, weight } of parents) {
    const slot = picker.addParent(weight);
    for (const pieceNumber of pieces) picker.announced(slot, pieceNumber);
    for (let count = 0; count < inFlight; count++) picker.begun(slot);
  }
  return picker;
}

import type { ReadonlyPieceSet } from '@d7y/piece';

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
  /** No parent gets more pieces at once than this. */
  readonly maxPerParent: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Keeps the load of a parent without known bandwidth finite. */
const SMALLEST_WEIGHT = 1e-9;

/**
 * The piece to fetch next, and from whom: the one that the fewest parents have, ties at random, so that rare pieces
 * spread before their last holder leaves and no two children ask for the same ones. Of its holders the one with the
 * least load for its weight. Parents without a free slot count for rarity but are not chosen.
 * Costs one pass over the wanted pieces; it allocates nothing per piece.
 * @returns undefined when no parent with a free slot has a wanted piece
 */
export function choosePiece(input: PieceChoiceInput): { pieceNumber: number; parentId: string } | undefined {
  const { wanted, parents, maxPerParent, random } = input;
  const free: PieceCandidateParent[] = [];
  const busy: PieceCandidateParent[] = [];
  for (const parent of parents) (parent.inFlight < maxPerParent ? free : busy).push(parent);
  if (free.length === 0) return undefined;

  let rarest = -1;
  let fewestHolders = Infinity;
  let ties = 0;
  for (const pieceNumber of wanted) {
    let holders = 0;
    for (const parent of free) if (parent.pieces.has(pieceNumber)) holders++;
    if (holders === 0) continue;
    for (const parent of busy) if (parent.pieces.has(pieceNumber)) holders++;
    if (holders > fewestHolders) continue;
    // The k-th of equals replaces the one held so far with probability 1/k: uniform without a list of them.
    ties = holders === fewestHolders ? ties + 1 : 1;
    fewestHolders = holders;
    if (ties === 1 || random() * ties < 1) rarest = pieceNumber;
  }
  return rarest < 0 ? undefined : { pieceNumber: rarest, parentId: leastLoadedHolder(rarest, free, random).id };
}

function leastLoadedHolder(
  pieceNumber: number,
  parents: readonly PieceCandidateParent[],
  random: () => number,
): PieceCandidateParent {
  let best: PieceCandidateParent | undefined;
  let bestLoad = Infinity;
  let ties = 0;
  for (const parent of parents) {
    if (!parent.pieces.has(pieceNumber)) continue;
    const load = (parent.inFlight + 1) / Math.max(parent.weight, SMALLEST_WEIGHT);
    if (load > bestLoad) continue;
    ties = load === bestLoad ? ties + 1 : 1;
    bestLoad = load;
    if (ties === 1 || random() * ties < 1) best = parent;
  }
  if (best === undefined) throw new TypeError(`no parent has piece ${pieceNumber}`);
  return best;
}

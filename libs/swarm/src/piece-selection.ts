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
  /** Pieces that somebody waits for, the most urgent first: taken before all others. */
  readonly urgent?: Iterable<number>;
  /** Of the other pieces: any one, for a peer that has nothing yet to give to others; else the one that the fewest parents have. Or the first, where none can be rare: what hashes the whole likes that best. Rarest by default. */
  readonly order?: 'random' | 'rarest' | 'ascending';
  /** No parent gets more pieces at once than this. */
  readonly maxPerParent: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Keeps the load of a parent without known bandwidth finite. */
const SMALLEST_WEIGHT = 1e-9;

/**
 * The piece to fetch next, and from whom. First what is urgent, in its order. Of the rest the one that the fewest parents have, ties at
 * random, so that rare pieces spread before their last holder leaves and no two children ask for the same ones; or any, so that a new
 * peer soon has something that others lack. Of its holders the one with the least load for its weight. Parents without a free slot count
 * for rarity but are not chosen. Costs one pass over the wanted pieces; it allocates nothing per piece.
 * @returns undefined when no parent with a free slot has a wanted piece
 */
export function choosePiece(input: PieceChoiceInput): { pieceNumber: number; parentId: string } | undefined {
  const { wanted, parents, urgent = [], order = 'rarest', maxPerParent, random } = input;
  const free: PieceCandidateParent[] = [];
  const busy: PieceCandidateParent[] = [];
  for (const parent of parents) (parent.inFlight < maxPerParent ? free : busy).push(parent);
  if (free.length === 0) return undefined;
  for (const pieceNumber of urgent) {
    const parentId = wanted.has(pieceNumber) ? leastLoadedHolder(pieceNumber, free, random)?.id : undefined;
    if (parentId !== undefined) return { pieceNumber, parentId };
  }

  let chosen = -1;
  let fewestHolders = Infinity;
  let ties = 0;
  for (const pieceNumber of wanted) {
    let holders = 0;
    for (const parent of free) if (parent.pieces.has(pieceNumber)) holders++;
    if (holders === 0) continue;
    if (order === 'ascending') {
      chosen = pieceNumber;
      break;
    }
    if (order === 'random') holders = 1;
    else for (const parent of busy) if (parent.pieces.has(pieceNumber)) holders++;
    if (holders > fewestHolders) continue;
    // The k-th of equals replaces the one held so far with probability 1/k: uniform without a list of them.
    ties = holders === fewestHolders ? ties + 1 : 1;
    fewestHolders = holders;
    if (ties === 1 || random() * ties < 1) chosen = pieceNumber;
  }
  const parentId = chosen < 0 ? undefined : leastLoadedHolder(chosen, free, random)?.id;
  return parentId === undefined ? undefined : { pieceNumber: chosen, parentId };
}

/**
 * Whom else to ask for a piece that is late at one parent: of the parents that have it and a free slot the one with the least load for
 * its weight.
 * @param parents without those that were asked already
 */
export function chooseHolder(
  pieceNumber: number,
  { parents, maxPerParent, random }: Pick<PieceChoiceInput, 'parents' | 'maxPerParent' | 'random'>,
): string | undefined {
  return leastLoadedHolder(
    pieceNumber,
    parents.filter(({ inFlight }) => inFlight < maxPerParent),
    random,
  )?.id;
}

function leastLoadedHolder(
  pieceNumber: number,
  parents: readonly PieceCandidateParent[],
  random: () => number,
): PieceCandidateParent | undefined {
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
  return best;
}

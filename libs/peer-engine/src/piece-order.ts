import type { PieceOrder } from '@d7y/swarm';

/** Pieces taken at random before the rarest come first: a peer that has nothing has nothing to trade. */
const RANDOM_PIECES = 4;

export interface PieceOrderFacts {
  /** Pieces that are here. */
  readonly finished: number;
  /** Those of whom pieces are asked; `isComplete`: it has all that we asked for. */
  readonly parents: readonly { readonly isSeed: boolean; readonly isComplete: boolean }[];
}

/**
 * In which order to ask for pieces that nobody waits for. In ascending order the whole is hashed as it passes, but hosts that fetch the same
 * at the same time would then all have the same pieces: so only where nobody is likely to trade with us. That is where all parents have
 * everything; except for a lone seed, of which a crowd gets its first pieces.
 */
export function pieceOrder({ finished, parents }: PieceOrderFacts): PieceOrder {
  const [first, ...others] = parents;
  const isLoneSeed = first?.isSeed === true && others.length === 0;
  if (!isLoneSeed && parents.every(({ isComplete }) => isComplete)) return 'ascending';
  return finished < RANDOM_PIECES ? 'random' : 'rarest';
}

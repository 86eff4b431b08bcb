import type { ReadonlyPieceSet } from '@d7y/piece';
import { PieceSet } from '@d7y/piece';

/** So many of a task's pieces, the rarest, are worth a word. */
const HOT_SHARE = 0.25;

/** How many peers of one task hold each of its pieces, changed piece by piece as they come and all at once as a peer leaves. */
export class HolderCounts {
  readonly #counts: Uint32Array;

  /** @param held what each of the peers holds by now */
  constructor(pieceCount: number, held: Iterable<ReadonlyPieceSet>) {
    this.#counts = new Uint32Array(pieceCount);
    for (const pieces of held) for (const pieceNumber of pieces) this.add(pieceNumber);
  }

  /** A peer that did not hold the piece does now. */
  add(pieceNumber: number): void {
    this.#change(pieceNumber, 1);
  }

  /** A peer is gone, with all that it held. */
  remove(pieces: ReadonlyPieceSet): void {
    for (const pieceNumber of pieces) this.#change(pieceNumber, -1);
  }

  holdersOf(pieceNumber: number): number {
    return this.#counts[pieceNumber] ?? 0;
  }

  /** The rarest quarter, with all that are as rare; none where all pieces are. */
  rarest(): PieceSet {
    const rarest = new PieceSet();
    const sorted = this.#counts.slice().sort();
    const limit = sorted[Math.ceil(sorted.length * HOT_SHARE) - 1];
    if (limit === undefined || limit === sorted.at(-1)) return rarest;
    for (let pieceNumber = 0; pieceNumber < this.#counts.length; pieceNumber++)
      if (this.holdersOf(pieceNumber) <= limit) rarest.add(pieceNumber);
    return rarest;
  }

  /** What is no piece of the task is passed over. */
  #change(pieceNumber: number, change: 1 | -1): void {
    this.#counts[pieceNumber] = this.holdersOf(pieceNumber) + change;
  }
}

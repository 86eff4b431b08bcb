import type { DiscardedPiece, Progress } from './progress.ts';

/**
 * The bytes that one reader was given, as they stand now: pieces that were released may prove wrong later, and then the reader must not get
 * the rest. Whoever came afterwards, or waited before them, is not concerned.
 */
export class ReadBytes {
  readonly #progress: Progress;
  readonly #start: number;
  #seen: number;
  #doubtful: DiscardedPiece[] = [];

  /** @param start position in the task at which the reader begins */
  constructor(progress: Progress, start: number) {
    this.#progress = progress;
    this.#start = start;
    this.#seen = progress.discards.length;
  }

  /** @param position up to where the reader has read; `unsure` while some of that is fetched anew */
  standing(position: number): 'right' | 'unsure' | 'wrong' {
    const { discards } = this.#progress;
    for (; this.#seen < discards.length; this.#seen++) {
      const piece = discards[this.#seen];
      if (piece !== undefined && this.#hasRead(piece, position)) this.#doubtful.push(piece);
    }
    if (this.#doubtful.length === 0) return 'right';
    if (this.#doubtful.some(({ outcome }) => outcome === 'other')) return 'wrong';
    this.#doubtful = this.#doubtful.filter(({ outcome }) => outcome === 'missing');
    return this.#doubtful.length === 0 ? 'right' : 'unsure';
  }

  #hasRead({ number }: DiscardedPiece, position: number): boolean {
    const { pieceLength } = this.#progress.layout;
    return position > this.#start && number * pieceLength < position && (number + 1) * pieceLength > this.#start;
  }
}

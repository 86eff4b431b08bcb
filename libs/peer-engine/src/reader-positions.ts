import type { TaskLayout } from '@d7y/piece';

/** Pieces from where a reader waits that come before all others: few, or all hosts would fetch in the same order and have nothing to trade. */
const WINDOW_PIECES = 1;
/** Readers that are looked at; the others get their bytes all the same. */
const MAX_READERS = 8;

/** Where the readers of one task wait for bytes. */
export class ReaderPositions {
  readonly #positions = new Set<{ readonly position: number }>();

  /** A reader waits for the byte at `position` until disposed. */
  waitAt(position: number): Disposable {
    const waiting = { position };
    this.#positions.add(waiting);
    return { [Symbol.dispose]: () => void this.#positions.delete(waiting) };
  }

  /** Somebody waits for bytes of the task. */
  get isAnyWaiting(): boolean {
    return this.#positions.size > 0;
  }

  /** Pieces that readers wait for, then those they will wait for next. */
  *urgent({ pieceLength, pieceCount }: TaskLayout): Iterable<number> {
    const firsts = [...this.#positions].slice(0, MAX_READERS).map(({ position }) => Math.floor(position / pieceLength));
    for (let ahead = 0; ahead < WINDOW_PIECES; ahead++) {
      for (const first of firsts) if (first + ahead < pieceCount) yield first + ahead;
    }
  }
}

import type { ByteRange, PieceRecord, TaskLayout } from '@d7y/piece';
import { pieceRange, PieceSet, piecesOf } from '@d7y/piece';
import type { StoredTask } from './ports/task-store.ts';
import { Pulse } from './pulse.ts';

/**
 * Where one task stands: which pieces are wanted, under way, and here. Owner of the claims, by which no piece is fetched
 * twice at once; everything that waits for pieces waits on `changed`.
 */
export class Progress {
  readonly stored: StoredTask;
  readonly changed = new Pulse();
  /** Bytes received by this run. */
  readonly received = { backToSource: 0, remotePeer: 0 };
  /** Pieces under way, with how many of their bytes may be read already (only bytes straight from the origin). */
  readonly #claims = new Map<number, number>();
  readonly #wanted = new PieceSet();
  /** Of these, the ones that somebody waits for. */
  readonly #awaited = new PieceSet();

  constructor(stored: StoredTask) {
    this.stored = stored;
  }

  get layout(): TaskLayout {
    return this.stored.layout;
  }

  get isWhole(): boolean {
    return this.stored.finishedPieces.size >= this.layout.pieceCount;
  }

  /** Everything wanted so far is here. */
  get isSatisfied(): boolean {
    for (const number of this.#wanted) if (!this.stored.finishedPieces.has(number)) return false;
    return true;
  }

  get wantsWhole(): boolean {
    return this.#wanted.size >= this.layout.pieceCount;
  }

  /** @param options.isPrefetch nobody waits for these bytes: they come after all others */
  want(range: ByteRange, { isPrefetch = false } = {}): void {
    const pieces = piecesOf(this.layout, range);
    if (pieces === undefined) return;
    for (let number = pieces.first; number <= pieces.last; number++) {
      this.#wanted.add(number);
      if (!isPrefetch) this.#awaited.add(number);
    }
    this.changed.beat();
  }

  /** Somebody waits for the piece, as opposed to one that is fetched ahead of all wishes. */
  isAwaited(number: number): boolean {
    return this.#awaited.has(number);
  }

  /** Wanted, not here and not under way, in ascending order; until everything that somebody waits for is here, only of that. */
  missing(): PieceSet {
    return this.#missingOf(this.#isAwaitedHere ? this.#wanted : this.#awaited);
  }

  get #isAwaitedHere(): boolean {
    if (this.#awaited.size === this.#wanted.size) return false;
    for (const number of this.#awaited) if (!this.stored.finishedPieces.has(number)) return false;
    return true;
  }

  #missingOf(pieces: PieceSet): PieceSet {
    const missing = new PieceSet();
    for (const number of pieces) {
      if (!this.stored.finishedPieces.has(number) && !this.#claims.has(number)) missing.add(number);
    }
    return missing;
  }

  /** Takes a piece for fetching. @returns false when it is here or under way */
  claim(number: number): boolean {
    if (this.stored.finishedPieces.has(number) || this.#claims.has(number)) return false;
    this.#claims.set(number, 0);
    return true;
  }

  /** Gives a piece back unfetched. */
  unclaim(number: number): void {
    if (this.#claims.delete(number)) this.changed.beat();
  }

  /** The first `bytes` of a claimed piece came from the origin and are written. */
  wrote(number: number, bytes: number): void {
    if (!this.#claims.has(number)) return;
    this.#claims.set(number, bytes);
    this.changed.beat();
  }

  finish(piece: PieceRecord): void {
    this.#claims.delete(piece.number);
    this.stored.recordPiece(piece);
    if (piece.trafficType === 'backToSource') this.received.backToSource += piece.length;
    else this.received.remotePeer += piece.length;
    this.changed.beat();
  }

  discard(numbers: Iterable<number>): void {
    this.stored.discardPieces(numbers);
    this.changed.beat();
  }

  /**
   * How far a reader at `from` may read, as a position in the task; `from` itself when it has to wait.
   *
   * Without a known digest a piece may go as soon as it is here. With one, bytes from the origin go at once, except the
   * last piece, which waits for the digest; bytes from peers, and what follows them, wait for the digest of the whole.
   */
  releasedEnd(from: number): number {
    const { contentLength, pieceLength, pieceCount } = this.layout;
    if (this.stored.isComplete) return contentLength;
    const mustMatch = this.stored.digest !== undefined;
    let position = from;
    for (let number = Math.floor(from / pieceLength); number < pieceCount; number++) {
      if (mustMatch && number === pieceCount - 1) break;
      const { start, length } = pieceRange(this.layout, number);
      const piece = this.stored.finishedPieces.has(number) ? this.stored.piece(number) : undefined;
      if (piece === undefined) return Math.max(position, start + (this.#claims.get(number) ?? 0));
      if (mustMatch && piece.trafficType !== 'backToSource') break;
      position = start + length;
    }
    return Math.max(position, from);
  }
}

import type { ByteRange, PieceRecord, TaskLayout } from '@d7y/piece';
import { pieceRange, PieceSet, piecesOf } from '@d7y/piece';
import type { StoredTask } from './ports/task-store.ts';
import type { ProvenPieces } from './proven-pieces.ts';
import { Pulse } from './pulse.ts';

/** A piece that was here, and what became of it: whether it came back with the bytes it had, as far as that is known. */
export interface DiscardedPiece {
  readonly number: number;
  readonly sha256: string | undefined;
  outcome: 'missing' | 'same' | 'other';
}

/** Whoever fetches pieces, and answers for those that it has claimed. */
export interface ClaimHolder {
  isFetching(pieceNumber: number): boolean;
}

/**
 * Where one task stands: which pieces are wanted, under way, and here. Owner of the claims, by which no piece is fetched
 * twice at once; everything that waits for pieces waits on `changed`.
 */
export class Progress {
  readonly stored: StoredTask;
  /** Something may have become readable: with every part of a piece, too. */
  readonly advanced = new Pulse();
  /** Pieces came, went, or are wanted. */
  readonly changed = new Pulse(this.advanced);
  /** Bytes received by this run. */
  readonly received = { backToSource: 0, remotePeer: 0 };
  /** Peer ids of those from whom this run received pieces. */
  readonly parents = new Set<string>();
  /** Told of every piece whose received bytes do not count, whether or not it was here: others will be in their place. */
  onRefused: ((number: number) => void) | undefined;
  /** Pieces under way: whose they are, and how many of their bytes may be read already (only bytes straight from the origin). */
  readonly #claims = new Map<number, { readonly holder: ClaimHolder; readonly bytes: number }>();
  /** The numbers of these. */
  readonly #claimed = new PieceSet();
  readonly #wanted = new PieceSet();
  /** Of these, the ones that somebody waits for. */
  readonly #awaited = new PieceSet();
  readonly #releasesUnverified: boolean;
  readonly #proven: ProvenPieces | undefined;
  readonly #discards: DiscardedPiece[] = [];
  /** Of these, the ones that are not here again. */
  readonly #missingAgain = new Map<number, DiscardedPiece>();

  /**
   * @param options.releasesUnverified readers may have what came from peers before anybody confirmed it
   * @param options.proven learns of pieces that were written
   */
  constructor(
    stored: StoredTask,
    { releasesUnverified = false, proven }: { releasesUnverified?: boolean; proven?: ProvenPieces } = {},
  ) {
    this.stored = stored;
    this.#proven = proven;
    this.#releasesUnverified = releasesUnverified;
  }

  get layout(): TaskLayout {
    return this.stored.layout;
  }

  get isWhole(): boolean {
    return this.stored.finishedPieces.size >= this.layout.pieceCount;
  }

  /** Everything wanted so far is here. */
  get isSatisfied(): boolean {
    return this.#wanted.minus(this.stored.finishedPieces).size === 0;
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
    const pieces = this.#isAwaitedHere ? this.#wanted : this.#awaited;
    return pieces.minus(this.stored.finishedPieces, this.#claimed);
  }

  get #isAwaitedHere(): boolean {
    if (this.#awaited.size === this.#wanted.size) return false;
    return this.#awaited.minus(this.stored.finishedPieces).size === 0;
  }

  /** Takes a piece for fetching. @returns false when it is here or under way */
  claim(number: number, holder: ClaimHolder): boolean {
    if (this.stored.finishedPieces.has(number) || this.#claims.has(number)) return false;
    this.handOver(number, holder);
    return true;
  }

  /** A piece that is under way is somebody else's from now on. */
  handOver(number: number, holder: ClaimHolder): void {
    this.#claims.set(number, { holder, bytes: 0 });
    this.#claimed.add(number);
  }

  /** Gives a piece back unfetched; nothing changes where it is not the holder's (any more). */
  unclaim(number: number, holder: ClaimHolder): void {
    if (this.#claims.get(number)?.holder !== holder) return;
    this.#release(number);
    this.changed.beat();
  }

  /** Takes back claims that their holders know nothing of. There should never be one: nobody would ever fetch the piece. */
  reclaim(): number[] {
    const orphans: number[] = [];
    for (const [number, { holder }] of this.#claims) if (!holder.isFetching(number)) orphans.push(number);
    for (const number of orphans) this.#release(number);
    if (orphans.length > 0) this.changed.beat();
    return orphans;
  }

  #release(number: number): void {
    this.#claims.delete(number);
    this.#claimed.delete(number);
  }

  /** The first `bytes` of a claimed piece came from the origin and are written. */
  wrote(number: number, bytes: number): void {
    const claim = this.#claims.get(number);
    if (claim === undefined) return;
    this.#claims.set(number, { ...claim, bytes });
    this.advanced.beat();
  }

  /** Bytes of the piece came and do not count: what hashed them as they passed must forget them. */
  refuse(number: number): void {
    this.onRefused?.(number);
  }

  finish(piece: PieceRecord): void {
    this.#release(piece.number);
    const discarded = this.#missingAgain.get(piece.number);
    if (discarded !== undefined) {
      const isSame = discarded.sha256 !== undefined && discarded.sha256 === piece.sha256;
      discarded.outcome = isSame ? 'same' : 'other';
      this.#missingAgain.delete(piece.number);
    }
    this.stored.recordPiece(piece);
    this.#proven?.add(this.stored, piece.number);
    if (piece.trafficType === 'backToSource') this.received.backToSource += piece.length;
    else {
      this.received.remotePeer += piece.length;
      if (piece.parentId !== undefined) this.parents.add(piece.parentId);
    }
    this.changed.beat();
  }

  /** Others confirm a piece that is here, or contradict each other about it. */
  setVerified(piece: PieceRecord, isVerified: boolean): void {
    if (piece.isVerified === isVerified) return;
    this.stored.recordPiece({ ...piece, isVerified });
    this.changed.beat();
  }

  /** The SHA-256 of a piece that is here, which nobody needed when it came. @returns its record with it */
  learnSha256(piece: PieceRecord, sha256: string): PieceRecord {
    const learned = { ...piece, sha256 };
    this.stored.recordPiece(learned);
    return learned;
  }

  /** Every piece that was here and then not any more, in the order in which they went. */
  get discards(): readonly Readonly<DiscardedPiece>[] {
    return this.#discards;
  }

  discard(numbers: Iterable<number>): void {
    const present = [...numbers].filter((number) => this.stored.finishedPieces.has(number));
    for (const number of present) {
      const discarded: DiscardedPiece = { number, sha256: this.stored.piece(number)?.sha256, outcome: 'missing' };
      this.#discards.push(discarded);
      this.#missingAgain.set(number, discarded);
    }
    this.stored.discardPieces(present);
    for (const number of present) this.onRefused?.(number);
    this.changed.beat();
  }

  /**
   * How far a reader at `from` may read, as a position in the task; `from` itself when it has to wait.
   *
   * Without a known digest a piece may go as soon as it is here. With one, bytes from the origin go at once and pieces from peers once
   * they are verified; an unverified piece, and what follows it, waits for the digest of the whole, and so does the last piece.
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
      if (piece === undefined) return Math.max(position, start + (this.#claims.get(number)?.bytes ?? 0));
      if (mustMatch && !piece.isVerified && !this.#releasesUnverified) break;
      position = start + length;
    }
    return Math.max(position, from);
  }
}

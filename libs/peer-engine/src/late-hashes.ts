import type { ContentHasher } from '@d7y/peer-protocol';
import { type PieceRecord, pieceRange } from '@d7y/piece';
import { hashLike, hashStored } from './content-hash.ts';
import type { Progress } from './progress.ts';
import type { BufferSource } from './reader-buffers.ts';

/** Its algorithm is used. */
const ANY_SHA256 = `sha256:${'0'.repeat(64)}`;

/** The SHA-256 of pieces that came while nobody needed it: read back from the store, one after the other. */
export class LateHashes {
  readonly #progress: Progress;
  readonly #hasher: ContentHasher | undefined;
  readonly #buffers: BufferSource;
  readonly #signal: AbortSignal;
  #turn: Promise<unknown> = Promise.resolve();

  /** @param hasher takes the work off this thread, where the store has files; @param signal ends it */
  constructor(
    progress: Progress,
    hasher: ContentHasher | undefined,
    buffers: BufferSource,
    { signal }: { signal: AbortSignal },
  ) {
    this.#progress = progress;
    this.#hasher = hasher;
    this.#buffers = buffers;
    this.#signal = signal;
  }

  /**
   * Adds the SHA-256 to the record of a piece that is here.
   * @returns the record; undefined when the piece went meanwhile
   * @throws what reading throws, or the reason of the signal
   */
  add(pieceNumber: number): Promise<PieceRecord | undefined> {
    const turn = this.#turn.then(() => this.#add(pieceNumber));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #add(pieceNumber: number): Promise<PieceRecord | undefined> {
    const { stored, discards } = this.#progress;
    this.#signal.throwIfAborted();
    const before = stored.piece(pieceNumber);
    if (before === undefined || before.sha256 !== undefined) return before;
    const { length: discarded } = discards;
    const sha256 = await this.#hash(pieceNumber);
    this.#signal.throwIfAborted();
    // Only what was discarded is ever written again.
    const isOther = discards.slice(discarded).some(({ number }) => number === pieceNumber);
    const piece = stored.piece(pieceNumber);
    return isOther || piece === undefined ? undefined : this.#progress.learnSha256(piece, sha256);
  }

  async #hash(pieceNumber: number): Promise<string> {
    const { stored, layout } = this.#progress;
    const { start, length } = pieceRange(layout, pieceNumber);
    const range = { start, end: start + length };
    if (this.#hasher === undefined || stored.openFile === undefined) {
      const hash = hashLike(ANY_SHA256);
      await hashStored(stored, range, hash, this.#buffers, { signal: this.#signal });
      return hash.digest().slice('sha256:'.length);
    }
    using file = await stored.openFile();
    return await this.#hasher.hashPart(stored.taskId, 'sha256', file.fd, range);
  }
}

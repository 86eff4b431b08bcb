import type { BufferPool } from '@d7y/service-kit';
import type { ContentHash } from './content-hash.ts';
import { hashLike, hashStored } from './content-hash.ts';
import { TaskDigestMismatchError } from './errors.ts';
import type { Progress } from './progress.ts';

/**
 * Hashes a task in order while its pieces arrive in any order: follows the finished prefix, whose bytes are still in the
 * page cache, so that little is left to do when the last piece comes.
 */
export class PrefixDigest {
  readonly #progress: Progress;
  readonly #expected: string;
  readonly #buffers: BufferPool;
  #hash: ContentHash;
  #position = 0;
  /** Pieces may be discarded and come again with other bytes, also such as have been hashed: then it starts over. */
  #discards: number;

  /** @param expected in normal form */
  constructor(progress: Progress, expected: string, buffers: BufferPool) {
    this.#progress = progress;
    this.#expected = expected;
    this.#buffers = buffers;
    this.#hash = hashLike(expected);
    this.#discards = progress.discards.length;
  }

  /**
   * Resolves once the whole content has been hashed and matches.
   * @throws {TaskDigestMismatchError} it does not; the next call starts over
   */
  async match({ signal }: { signal: AbortSignal }): Promise<void> {
    const { layout, stored, changed } = this.#progress;
    for (;;) {
      if (this.#discards !== this.#progress.discards.length) this.#startOver();
      if (this.#position >= layout.contentLength) break;
      const finished = stored.finishedPieces.firstMissing(Math.floor(this.#position / layout.pieceLength));
      const end = Math.min(finished * layout.pieceLength, layout.contentLength);
      if (end <= this.#position) await changed.next({ signal });
      else {
        await hashStored(stored, { start: this.#position, end }, this.#hash, this.#buffers, { signal });
        this.#position = end;
      }
    }
    const actual = this.#hash.digest();
    this.#startOver();
    if (actual !== this.#expected) throw new TaskDigestMismatchError(stored.taskId, this.#expected, actual);
  }

  #startOver(): void {
    this.#hash = hashLike(this.#expected);
    this.#position = 0;
    this.#discards = this.#progress.discards.length;
  }
}

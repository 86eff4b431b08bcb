import type { ContentHasher, RunningContentHash } from '@d7y/peer-protocol';
import { parseDigest, pieceRange } from '@d7y/piece';
import { unlessAborted } from '@d7y/service-kit';
import { TaskDigestMismatchError } from './errors.ts';
import type { Progress } from './progress.ts';
import { StoredHash } from './stored-hash.ts';
import type { BufferSource } from './reader-buffers.ts';

/**
 * Matches a task with its digest while its pieces arrive in any order: the hash follows the finished prefix, whose bytes just passed or are
 * still in the page cache, so that little is left to do when the last piece comes.
 */
export class PrefixDigest implements AsyncDisposable {
  readonly #progress: Progress;
  readonly #expected: string;
  readonly #hash: RunningContentHash;
  #position = 0;
  /** How often bytes were to be forgotten. */
  #setbacks = 0;

  /**
   * @param expected in normal form
   * @param hasher takes the work off this thread, where the store has files
   * @param buffers to read through where it does not
   */
  constructor(progress: Progress, expected: string, hasher: ContentHasher | undefined, buffers: BufferSource) {
    this.#progress = progress;
    this.#expected = expected;
    const { stored } = progress;
    const { algorithm } = parseDigest(expected);
    const open = stored.openFile?.bind(stored);
    this.#hash =
      hasher === undefined || open === undefined || algorithm === 'crc32'
        ? new StoredHash(stored, expected, buffers)
        : hasher.hash(stored.taskId, algorithm, open);
    // Pieces may come again with other bytes, also such as have been hashed.
    progress.onRefused = (number) => {
      this.#setbacks++;
      const { start } = pieceRange(progress.layout, number);
      this.#hash.forget(start);
      this.#position = Math.min(this.#position, start);
    };
  }

  /**
   * Resolves once the whole content has been hashed and matches.
   * @throws {TaskDigestMismatchError} it does not; the next call starts over
   */
  async match({ signal }: { signal: AbortSignal }): Promise<void> {
    for (;;) {
      // The only piece of a task is hashed in one turn with the question for the digest.
      if (this.#progress.layout.pieceCount === 1) await this.#moreFinished(signal);
      else await this.#follow(signal);
      const { stored, layout } = this.#progress;
      const setbacks = this.#setbacks;
      const actual = await unlessAborted(this.#hash.digest(layout.contentLength), signal);
      this.#position = 0;
      // Of bytes some of which were to be forgotten meanwhile it says nothing.
      if (setbacks !== this.#setbacks) continue;
      if (actual === this.#expected) return;
      throw new TaskDigestMismatchError(stored.taskId, this.#expected, actual);
    }
  }

  /** Hashes the finished prefix as it grows, until it is all. */
  async #follow(signal: AbortSignal): Promise<void> {
    while (this.#position < this.#progress.layout.contentLength) {
      const end = await this.#moreFinished(signal);
      const setbacks = this.#setbacks;
      await unlessAborted(this.#hash.advance(end), signal);
      if (setbacks === this.#setbacks) this.#position = end;
    }
  }

  /** Waits until more is finished than is hashed. @returns where the finished prefix ends */
  async #moreFinished(signal: AbortSignal): Promise<number> {
    const { layout, stored, changed } = this.#progress;
    for (;;) {
      const finished = stored.finishedPieces.firstMissing(Math.floor(this.#position / layout.pieceLength));
      const end = Math.min(finished * layout.pieceLength, layout.contentLength);
      if (end > this.#position) return end;
      await changed.next({ signal });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#progress.onRefused = undefined;
    await this.#hash[Symbol.asyncDispose]();
  }
}

import type { ContentHasher, RunningContentHash } from '@d7y/peer-protocol';
import { parseDigest, pieceRange } from '@d7y/piece';
import type { BufferPool } from '@d7y/service-kit';
import { TaskDigestMismatchError } from './errors.ts';
import type { Progress } from './progress.ts';
import { StoredHash } from './stored-hash.ts';

/**
 * Matches a task with its digest while its pieces arrive in any order: the hash follows the finished prefix, whose bytes just passed or are
 * still in the page cache, so that little is left to do when the last piece comes.
 */
export class PrefixDigest implements AsyncDisposable {
  readonly #progress: Progress;
  readonly #expected: string;
  readonly #hash: RunningContentHash;
  #position = 0;

  /**
   * @param expected in normal form
   * @param hasher takes the work off this thread, where the store has files
   * @param buffers to read through where it does not
   */
  constructor(progress: Progress, expected: string, hasher: ContentHasher | undefined, buffers: BufferPool) {
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
    const { layout, stored, changed } = this.#progress;
    for (;;) {
      const finished = stored.finishedPieces.firstMissing(Math.floor(this.#position / layout.pieceLength));
      const end = Math.min(finished * layout.pieceLength, layout.contentLength);
      const discards = this.#progress.discards.length;
      if (end === layout.contentLength) {
        const actual = await unlessAborted(this.#hash.digest(end), signal);
        this.#position = 0;
        if (discards !== this.#progress.discards.length) continue;
        if (actual === this.#expected) return;
        throw new TaskDigestMismatchError(stored.taskId, this.#expected, actual);
      }
      if (end <= this.#position) await changed.next({ signal });
      else {
        await unlessAborted(this.#hash.advance(end), signal);
        if (discards === this.#progress.discards.length) this.#position = end;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#progress.onRefused = undefined;
    await this.#hash[Symbol.asyncDispose]();
  }
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

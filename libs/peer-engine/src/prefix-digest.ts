import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import { parseDigest } from '@d7y/piece';
import type { BufferPool } from '@d7y/service-kit';
import { TaskDigestMismatchError } from './errors.ts';
import type { Progress } from './progress.ts';

/** Algorithms of task digests that Node computes. */
const HASHES: Readonly<Record<string, string>> = { sha256: 'sha256', sha512: 'sha512', sha1: 'sha1', md5: 'md5' };

/** Whether content with this digest can be checked here. */
export function isCheckable(digest: string | undefined): digest is string {
  return digest !== undefined && HASHES[parseDigest(digest).algorithm] !== undefined;
}

/**
 * Hashes a task in order while its pieces arrive in any order: follows the finished prefix, whose bytes are still in the
 * page cache, so that little is left to do when the last piece comes.
 */
export class PrefixDigest {
  readonly #progress: Progress;
  readonly #expected: string;
  readonly #buffers: BufferPool;
  #hash: Hash;
  #position = 0;

  constructor(progress: Progress, expected: string, buffers: BufferPool) {
    this.#progress = progress;
    this.#expected = expected;
    this.#buffers = buffers;
    this.#hash = this.#create();
  }

  /**
   * Resolves once the whole content has been hashed and matches.
   * @throws {TaskDigestMismatchError} it does not; the next call starts over
   */
  async match({ signal }: { signal: AbortSignal }): Promise<void> {
    const { layout, stored, changed } = this.#progress;
    while (this.#position < layout.contentLength) {
      const finished = stored.finishedPieces.firstMissing(Math.floor(this.#position / layout.pieceLength));
      const end = Math.min(finished * layout.pieceLength, layout.contentLength);
      if (end <= this.#position) await changed.next({ signal });
      else await this.#hashTo(end, signal);
    }
    const { algorithm, encoded } = parseDigest(this.#expected);
    const actual = this.#hash.digest('hex');
    this.#hash = this.#create();
    this.#position = 0;
    if (actual !== encoded) throw new TaskDigestMismatchError(stored.taskId, this.#expected, `${algorithm}:${actual}`);
  }

  async #hashTo(end: number, signal: AbortSignal): Promise<void> {
    const buffer = await this.#buffers.acquire({ signal });
    try {
      while (this.#position < end) {
        signal.throwIfAborted();
        const target = buffer.bytes.subarray(0, Math.min(buffer.bytes.length, end - this.#position));
        const read = await this.#progress.stored.read(this.#position, target);
        if (read === 0) throw new Error(`task ${this.#progress.stored.taskId}: its file ends at ${this.#position}`);
        this.#hash.update(target.subarray(0, read));
        this.#position += read;
      }
    } finally {
      buffer.release();
    }
  }

  #create(): Hash {
    return createHash(HASHES[parseDigest(this.#expected).algorithm] ?? 'sha256');
  }
}

import type { RunningContentHash } from '@d7y/peer-protocol';
import { type ContentHash, hashLike, hashStored } from './content-hash.ts';
import type { StoredTask } from './ports/task-store.ts';
import type { BufferSource } from './reader-buffers.ts';

/** A hash that reads everything back from the store, on this thread: for stores without files. */
export class StoredHash implements RunningContentHash {
  readonly #stored: StoredTask;
  readonly #expected: string;
  readonly #buffers: BufferSource;
  readonly #closed = new AbortController();
  #hash: ContentHash;
  #position = 0;

  /** @param expected a digest whose algorithm is used */
  constructor(stored: StoredTask, expected: string, buffers: BufferSource) {
    this.#stored = stored;
    this.#expected = expected;
    this.#buffers = buffers;
    this.#hash = hashLike(expected);
  }

  async advance(end: number): Promise<void> {
    const [hash, start] = [this.#hash, this.#position];
    if (end <= start) return;
    await hashStored(this.#stored, { start, end }, hash, this.#buffers, { signal: this.#closed.signal });
    // What was forgotten meanwhile is hashed again.
    if (this.#hash === hash) this.#position = end;
  }

  forget(): void {
    this.#hash = hashLike(this.#expected);
    this.#position = 0;
  }

  async digest(end: number): Promise<string> {
    await this.advance(end);
    const digest = this.#hash.digest();
    this.forget();
    return digest;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new Error('the hash is not needed any more'));
    return Promise.resolve();
  }
}

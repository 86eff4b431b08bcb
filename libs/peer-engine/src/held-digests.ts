import { hashLike, hashStored } from './content-hash.ts';
import type { StoredTask } from './ports/task-store.ts';
import type { BufferSource } from './reader-buffers.ts';

/** Digests remembered for one content; callers choose them. */
const MAX_DIGESTS = 8;

/** What content that is here hashes to, for callers who expect another digest than the one by which it was checked. */
export class HeldDigests {
  readonly #buffers: BufferSource;
  readonly #verdicts = new WeakMap<StoredTask, Map<string, boolean>>();

  constructor(buffers: BufferSource) {
    this.#buffers = buffers;
  }

  /** Whether complete content has the digest, in normal form; undefined is always right. Reads the whole at most once per digest. */
  async has(stored: StoredTask, digest: string | undefined, { signal }: { signal: AbortSignal }): Promise<boolean> {
    if (digest === undefined || digest === stored.digest) return true;
    const verdicts = this.#verdicts.get(stored) ?? new Map<string, boolean>();
    this.#verdicts.set(stored, verdicts);
    const known = verdicts.get(digest);
    if (known !== undefined) return known;
    const hash = hashLike(digest);
    using _retained = stored.retain();
    const whole = { start: 0, end: stored.layout.contentLength };
    await hashStored(stored, whole, hash, this.#buffers, { signal });
    const verdict = hash.digest() === digest;
    if (verdicts.size < MAX_DIGESTS) verdicts.set(digest, verdict);
    return verdict;
  }
}

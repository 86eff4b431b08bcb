import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { parseDigest } from '@d7y/piece';
import type { StoredTask } from './ports/task-store.ts';
import type { BufferSource } from './reader-buffers.ts';

/** Algorithms of task digests that Node computes; crc32 is written as a decimal number. */
const HASHES: ReadonlySet<string> = new Set(['sha256', 'sha512', 'sha1', 'md5', 'crc32']);

/** A digest of content being computed, in the order of the bytes. */
export interface ContentHash {
  update(bytes: Uint8Array): void;
  /** `algorithm:encoded`, in normal form. Call once. */
  digest(): string;
}

/** Whether content with this digest can be checked here. @throws {DigestFormatError} it is none */
export function isCheckable(digest: string): boolean {
  return HASHES.has(parseDigest(digest).algorithm);
}

/** Computes the algorithm of a digest for which `isCheckable` holds. */
export function hashLike(digest: string): ContentHash {
  const { algorithm } = parseDigest(digest);
  if (algorithm === 'crc32') {
    let crc = 0;
    return { update: (bytes) => void (crc = crc32(bytes, crc)), digest: () => `crc32:${crc >>> 0}` };
  }
  const hash = createHash(algorithm);
  return { update: (bytes) => void hash.update(bytes), digest: () => `${algorithm}:${hash.digest('hex')}` };
}

/** Feeds bytes of a task from the store, `end` not included. @throws the reason of the signal */
export async function hashStored(
  stored: StoredTask,
  { start, end }: { readonly start: number; readonly end: number },
  hash: ContentHash,
  buffers: BufferSource,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  const buffer = await buffers.acquire({ signal });
  try {
    for (let position = start; position < end;) {
      signal.throwIfAborted();
      const target = buffer.bytes.subarray(0, Math.min(buffer.bytes.length, end - position));
      const read = await stored.read(position, target);
      if (read === 0) throw new Error(`task ${stored.taskId}: its file ends at ${position}`);
      hash.update(target.subarray(0, read));
      position += read;
    }
  } finally {
    buffer.release();
  }
}

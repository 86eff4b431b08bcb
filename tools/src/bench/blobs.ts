import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pseudoRandomChunks } from '@d7y/testkit';

/** A blob on disk under a path of the registry protocol. */
export interface Blob {
  /** `sha256:` and hex. */
  readonly digest: string;
  /** Below the root of its server: `/v2/bench/blobs/sha256:…`. */
  readonly path: string;
  readonly sizeBytes: number;
}

/** Writes a blob of noise below `root`. */
export async function writeBlob(root: string, seed: string, sizeBytes: number): Promise<Blob> {
  const dir = join(root, 'v2', 'bench', 'blobs');
  await mkdir(dir, { recursive: true });
  const part = join(dir, `.part-${seed}`);
  const hash = createHash('sha256');
  {
    await using file = await open(part, 'w');
    for (const chunk of pseudoRandomChunks(seed, sizeBytes)) {
      hash.update(chunk);
      await file.write(chunk);
    }
  }
  const digest = `sha256:${hash.digest('hex')}`;
  await rename(part, join(dir, digest));
  return { digest, path: `/v2/bench/blobs/${digest}`, sizeBytes };
}

/**
 * Writes a blob of a few bytes of noise and nothing but zeros after them, which take no room: as different from the next one as any, but
 * free to keep.
 */
export async function writeHollowBlob(root: string, seed: string, sizeBytes: number): Promise<Blob> {
  const dir = join(root, 'v2', 'bench', 'blobs');
  await mkdir(dir, { recursive: true });
  const part = join(dir, `.part-${seed}`);
  const head = createHash('sha256').update(seed).digest().subarray(0, sizeBytes);
  {
    await using file = await open(part, 'w');
    await file.write(head);
    await file.truncate(sizeBytes);
  }
  const hash = createHash('sha256').update(head);
  const zeros = Buffer.alloc(2 ** 20);
  for (let left = sizeBytes - head.length; left > 0; left -= zeros.length) hash.update(zeros.subarray(0, left));
  const digest = `sha256:${hash.digest('hex')}`;
  await rename(part, join(dir, digest));
  return { digest, path: `/v2/bench/blobs/${digest}`, sizeBytes };
}

/** @throws when the file does not hold the blob */
export async function verifyFile(path: string, blob: Blob): Promise<void> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), hash);
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== blob.digest) throw new Error(`${path} holds ${found} instead of ${blob.digest}`);
}

import { createCipheriv, createHash } from 'node:crypto';

/** Bytes made at a time: enough to keep the cipher busy, little enough to be reused. */
const CHUNK_BYTES = 2 ** 20;

/** `length` bytes that do not compress, always the same for the same seed; new buffers of at most 1 MiB. */
export function* pseudoRandomChunks(seed: string, length: number): Generator<Buffer> {
  const cipher = createCipheriv('aes-256-ctr', createHash('sha256').update(seed).digest(), Buffer.alloc(16));
  const zeros = Buffer.alloc(Math.min(CHUNK_BYTES, length));
  for (let left = length; left > 0; left -= CHUNK_BYTES)
    yield cipher.update(left < CHUNK_BYTES ? zeros.subarray(0, left) : zeros);
}

/** The same bytes in one buffer. */
export function pseudoRandomBytes(seed: string, length: number): Buffer {
  return Buffer.concat([...pseudoRandomChunks(seed, length)], length);
}

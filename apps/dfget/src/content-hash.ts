import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { parseDigest } from '@d7y/piece';

/** The running hash of content that comes in order. */
export interface ContentHash {
  update(bytes: Uint8Array): void;
  /** In the form of `expected`; ends the hash. */
  encoded(): string;
  readonly expected: string;
}

/** @param digest `algorithm:encoded` with sha256, sha512 or crc32. @throws {DigestFormatError} */
export function createContentHash(digest: string): ContentHash {
  const { algorithm, encoded } = parseDigest(digest);
  if (algorithm === 'crc32') {
    let crc = 0;
    return {
      update: (bytes) => {
        crc = crc32(bytes, crc);
      },
      encoded: () => String(crc),
      expected: encoded,
    };
  }
  const hash = createHash(algorithm);
  return { update: (bytes) => void hash.update(bytes), encoded: () => hash.digest('hex'), expected: encoded };
}

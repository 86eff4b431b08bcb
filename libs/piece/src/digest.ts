import { crc32 } from 'node:zlib';
import { DigestFormatError } from './errors.ts';

/** Hex characters of each algorithm that a task digest may use; crc32 of pieces has its own decimal form. */
const HEX_LENGTH = { md5: 32, sha1: 40, sha256: 64, sha512: 128, blake3: 64 } as const;

export type DigestAlgorithm = keyof typeof HEX_LENGTH | 'crc32';

/** An algorithm and its result as text: lower-case hex, for crc32 the decimal number. */
export interface Digest {
  readonly algorithm: DigestAlgorithm;
  readonly encoded: string;
}

/**
 * Parses `algorithm:encoded`.
 * @throws {DigestFormatError}
 */
export function parseDigest(text: string): Digest {
  const [, algorithm, encoded] = /^([a-z0-9]+):([a-fA-F0-9]+)$/.exec(text) ?? [];
  if (algorithm === undefined || encoded === undefined) throw new DigestFormatError(text);
  if (algorithm === 'crc32') {
    if (!/^\d{1,10}$/.test(encoded) || Number(encoded) > 0xffffffff) throw new DigestFormatError(text);
    return { algorithm, encoded: String(Number(encoded)) };
  }
  if (!Object.hasOwn(HEX_LENGTH, algorithm)) throw new DigestFormatError(text);
  const known = algorithm as keyof typeof HEX_LENGTH;
  if (encoded.length !== HEX_LENGTH[known]) throw new DigestFormatError(text);
  return { algorithm: known, encoded: encoded.toLowerCase() };
}

/** `algorithm:encoded`, as parseDigest reads it. */
export function formatDigest({ algorithm, encoded }: Digest): string {
  return `${algorithm}:${encoded}`;
}

/** A piece's digest from its CRC-32 (ISO-HDLC, zlib's), in the decimal form that peers compare as text. */
export function pieceDigest(crc: number): string {
  return `crc32:${crc >>> 0}`;
}

/** The digest of a piece whose bytes are all at hand. */
export function pieceDigestOf(bytes: Uint8Array): string {
  return pieceDigest(crc32(bytes));
}

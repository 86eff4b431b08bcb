import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { DfError, type Digest, formatDigest, parseDigest } from '@d7y/piece';

/** The bytes written do not have the digest that was asked for. */
export class OutputDigestMismatchError extends DfError {
  override readonly name = 'OutputDigestMismatchError';
  readonly code = 'TASK_DIGEST_MISMATCH';
  readonly retryable = true;
  constructor(expected: string, actual: string) {
    super(`the content was expected to have ${expected}, but has ${actual}`);
  }
}

/** No such digest can be computed here. */
export class UnsupportedDigestError extends DfError {
  override readonly name = 'UnsupportedDigestError';
  readonly code = 'INVALID_ARGUMENT';
  readonly retryable = false;
  constructor(algorithm: string) {
    super(`digests by ${algorithm} cannot be checked here, use sha256, sha512, sha1, md5 or crc32`);
  }
}

/** Checks bytes that pass against a digest. */
export interface DigestCheck {
  update(bytes: Uint8Array): void;
  /** @throws {OutputDigestMismatchError} */
  finish(): void;
}

/** @throws {DigestFormatError} @throws {UnsupportedDigestError} */
export function createDigestCheck(text: string): DigestCheck {
  const expected = parseDigest(text);
  if (expected.algorithm === 'crc32') return crcCheck(expected);
  if (expected.algorithm === 'blake3') throw new UnsupportedDigestError(expected.algorithm);
  return hashCheck(expected, createHash(expected.algorithm));
}

function hashCheck(expected: Digest, hash: Hash): DigestCheck {
  return {
    update: (bytes) => void hash.update(bytes),
    finish: () => compare(expected, hash.digest('hex')),
  };
}

function crcCheck(expected: Digest): DigestCheck {
  let crc = 0;
  return {
    update: (bytes) => (crc = crc32(bytes, crc)),
    finish: () => compare(expected, String(crc >>> 0)),
  };
}

function compare(expected: Digest, encoded: string): void {
  if (encoded === expected.encoded) return;
  throw new OutputDigestMismatchError(formatDigest(expected), formatDigest({ ...expected, encoded }));
}

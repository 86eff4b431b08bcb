import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { vectors } from './_vectors.ts';
import { formatDigest, parseDigest, pieceDigest, pieceDigestOf } from './digest.ts';
import { DigestFormatError } from './errors.ts';

const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });

it.each(vectors.pieceDigest)('digests the piece "$text" as agreed', ({ text, digest }) => {
  expect(pieceDigestOf(Buffer.from(text))).toBe(digest);
});

it('writes a CRC as an unsigned decimal number', () => {
  expect(pieceDigest(-1)).toBe('crc32:4294967295');
  expect(pieceDigest(0)).toBe('crc32:0');
});

it('reads what it writes', () => {
  const digest = fc.oneof(
    fc.record({ algorithm: fc.constantFrom('sha256' as const, 'blake3' as const), encoded: hex(64) }),
    fc.record({ algorithm: fc.constant('sha512' as const), encoded: hex(128) }),
    fc.record({ algorithm: fc.constant('md5' as const), encoded: hex(32) }),
    fc.record({ algorithm: fc.constant('sha1' as const), encoded: hex(40) }),
    fc.record({ algorithm: fc.constant('crc32' as const), encoded: fc.nat(0xffffffff).map(String) }),
  );
  fc.assert(
    fc.property(digest, (value) => {
      expect(parseDigest(formatDigest(value))).toEqual(value);
    }),
  );
});

it('weakness 20: brings hex to lower case and decimal numbers to their shortest form', () => {
  expect(parseDigest(`sha256:${'AB'.repeat(32)}`).encoded).toBe('ab'.repeat(32));
  expect(parseDigest('crc32:0000000005').encoded).toBe('5');
});

it.each([
  '',
  'sha256',
  'sha256:',
  `sha256:${'a'.repeat(63)}`,
  `sha256:${'g'.repeat(64)}`,
  `SHA256:${'a'.repeat(64)}`,
  `sha256:${'a'.repeat(64)}\n`,
  `sha3:${'a'.repeat(64)}`,
  'toString:aa',
  'crc32:ff',
  'crc32:4294967296',
  'crc32:12345678901',
])('refuses %j', (text) => {
  expect(() => parseDigest(text)).toThrow(DigestFormatError);
});

it('does not repeat a long text in its error', () => {
  expect(new DigestFormatError('x'.repeat(100_000)).message.length).toBeLessThan(300);
});

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { PieceAnswerDecoder } from './answer-decoder.ts';
import { encodeClose, encodeError, encodePieceHeader, encodePieceRequest } from './encode.ts';
import { FrameFieldError } from './errors.ts';
import type { PieceMetadata } from './frames.ts';
import { MAX_DIGEST_BYTES, MAX_ERROR_MESSAGE_BYTES, MAX_PARENT_ID_BYTES } from './layout.ts';

const TASK_ID = 'a'.repeat(64);
const META: PieceMetadata = {
  ...{ number: 0, offset: 0, length: 1, digest: 'crc32:0', parentId: '', trafficType: 'backToSource' },
  ...{ costMs: 0, createdAtMs: 0 },
};

function decodedMeta(meta: PieceMetadata): PieceMetadata {
  const { frame } = new PieceAnswerDecoder().push(encodePieceHeader('standard', meta, 0));
  if (frame?.kind !== 'content') throw new Error('not the front of a piece');
  return frame.meta;
}

describe('encodePieceRequest', () => {
  it.each(['', 'a'.repeat(63), 'a'.repeat(65), ' '.repeat(64), 'é'.repeat(32), `${'a'.repeat(63)}\n`])(
    'refuses the task id %j',
    (taskId) => {
      expect(() => encodePieceRequest('standard', taskId, 0, 0)).toThrow(FrameFieldError);
    },
  );

  it.each([-1, 0.5, NaN, 2 ** 32])('refuses the piece number %d', (number) => {
    expect(() => encodePieceRequest('standard', TASK_ID, number, 0)).toThrow(FrameFieldError);
  });

  it.each([-1, 256, 0.5])('refuses the packet id %d', (packetId) => {
    expect(() => encodePieceRequest('standard', TASK_ID, 0, packetId)).toThrow(FrameFieldError);
    expect(() => encodeClose(packetId)).toThrow(FrameFieldError);
  });
});

describe('encodePieceHeader', () => {
  it('rounds times down to whole seconds', () => {
    expect(decodedMeta({ ...META, costMs: 1999.5, createdAtMs: -1 })).toMatchObject({
      costMs: 1000,
      createdAtMs: -1000,
    });
  });

  it('takes a negative cost, from a clock set back, for none', () => {
    expect(decodedMeta({ ...META, costMs: -5 }).costMs).toBe(0);
  });

  it('says remotePeer, as stock senders do, when the traffic type is not known', () => {
    expect(decodedMeta({ ...META, trafficType: undefined }).trafficType).toBe('remotePeer');
  });

  it.each<[string, Partial<PieceMetadata>]>([
    ['a number past 32 bits', { number: 2 ** 32 }],
    ['a negative offset', { offset: -1 }],
    ['an end past the safe integers', { offset: Number.MAX_SAFE_INTEGER, length: 1 }],
    ['half a byte', { length: 0.5 }],
    ['a long digest', { digest: 'x'.repeat(MAX_DIGEST_BYTES + 1) }],
    ['a parent id that is long in bytes only', { parentId: 'é'.repeat(MAX_PARENT_ID_BYTES / 2 + 1) }],
    ['an unknown time', { createdAtMs: NaN }],
    ['an endless cost', { costMs: Infinity }],
  ])('refuses %s', (_, part) => {
    expect(() => encodePieceHeader('standard', { ...META, ...part }, 0)).toThrow(FrameFieldError);
  });

  it('takes texts up to their limits', () => {
    const texts = { digest: 'x'.repeat(MAX_DIGEST_BYTES), parentId: 'é'.repeat(MAX_PARENT_ID_BYTES / 2) };
    expect(decodedMeta({ ...META, ...texts })).toMatchObject(texts);
  });
});

describe('encodeError', () => {
  it('cuts a long message at a character, so that any child takes it', () => {
    const message = fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀'), minLength: 4000, maxLength: 20_000 });
    fc.assert(
      fc.property(message, (text) => {
        const bytes = encodeError('internal', text, 1);
        const { consumed, frame } = new PieceAnswerDecoder().push(bytes);
        expect(consumed).toBe(bytes.length);
        if (frame?.kind !== 'error') throw new Error('not an error frame');
        expect(text.startsWith(frame.message)).toBe(true);
        const wanted = Math.min(Buffer.byteLength(text), MAX_ERROR_MESSAGE_BYTES - 3);
        expect(Buffer.byteLength(frame.message)).toBeGreaterThanOrEqual(wanted);
      }),
      { numRuns: 20 },
    );
  });
});

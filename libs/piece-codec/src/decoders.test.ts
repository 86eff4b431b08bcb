import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { answerFrame, decodeInRuns, encodeFrame, requestFrame, runLengths } from './_arbitraries.ts';
import { PieceAnswerDecoder } from './answer-decoder.ts';
import { encodePieceHeader, encodePieceRequest } from './encode.ts';
import * as errors from './errors.ts';
import type { PieceMetadata } from './frames.ts';
import { MAX_DIGEST_BYTES, MAX_ERROR_MESSAGE_BYTES, MAX_METADATA_BYTES, MAX_PARENT_ID_BYTES } from './layout.ts';
import { isPieceRequestStart, PieceRequestDecoder } from './request-decoder.ts';

const META: PieceMetadata = {
  ...{ number: 3, offset: 1000, length: 5, digest: 'crc32:907060870', parentId: 'peer', trafficType: 'remotePeer' },
  ...{ costMs: 2000, createdAtMs: 1_700_000_000_000 },
};
const METADATA_AT = 10;
const DIGEST_LENGTH_AT = METADATA_AT + 20;
const DIGEST_AT = DIGEST_LENGTH_AT + 4;
const PARENT_LENGTH_AT = DIGEST_AT + META.digest.length;
const TRAFFIC_TYPE_AT = PARENT_LENGTH_AT + 4 + META.parentId.length;

const request = (): Uint8Array => encodePieceRequest('standard', '0'.repeat(64), 1, 9);
const content = (): Uint8Array => encodePieceHeader('standard', META, 9);
const header = (tag: number, length: number): Uint8Array => {
  const bytes = Buffer.alloc(6);
  bytes[1] = tag;
  bytes.writeUInt32BE(length, 2);
  return bytes;
};
/** The front of a piece with some of its bytes replaced. */
const changed = (at: number, ...bytes: number[]): Uint8Array => {
  const result = content();
  result.set(bytes, at);
  return result;
};
const uint32 = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];

describe('both decoders', () => {
  it('give back any sequence of requests, however it is cut into runs', () => {
    fc.assert(
      fc.property(fc.array(requestFrame, { maxLength: 5 }), runLengths, (frames, lengths) => {
        const decoder = new PieceRequestDecoder();
        expect(decodeInRuns(decoder, Buffer.concat(frames.map(encodeFrame)), lengths)).toEqual(frames);
        decoder.end();
      }),
    );
  });

  it('give back any sequence of answers, however it is cut into runs', () => {
    fc.assert(
      fc.property(fc.array(answerFrame, { maxLength: 5 }), runLengths, (frames, lengths) => {
        const decoder = new PieceAnswerDecoder();
        expect(decodeInRuns(decoder, Buffer.concat(frames.map(encodeFrame)), lengths)).toEqual(frames);
        decoder.end();
      }),
    );
  });

  it('stop exactly in front of the content', () => {
    fc.assert(
      fc.property(fc.nat(content().length - 1), fc.uint8Array({ maxLength: 50 }), (cut, bytes) => {
        const decoder = new PieceAnswerDecoder();
        const front = content();
        expect(decoder.push(front.subarray(0, cut))).toEqual({ consumed: cut, frame: undefined });
        const rest = Buffer.concat([front.subarray(cut), bytes]);
        const { consumed, frame } = decoder.push(rest);
        expect(frame).toMatchObject({ kind: 'content', meta: META });
        expect(rest.subarray(consumed)).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it('do not keep the chunk they were given', () => {
    const decoder = new PieceAnswerDecoder();
    const front = content();
    const reused = Buffer.from(front.subarray(0, 40));
    decoder.push(reused);
    reused.fill(0xff);
    expect(decoder.push(front.subarray(40)).frame).toMatchObject({ meta: META });
  });

  it('tell an end between frames from one within a frame', () => {
    for (const [decoder, bytes] of [
      [new PieceRequestDecoder(), request()],
      [new PieceAnswerDecoder(), content()],
    ] as const) {
      decoder.end();
      decoder.push(bytes);
      decoder.end();
      decoder.push(bytes.subarray(0, 20));
      expect(() => decoder.end()).toThrow(new errors.FrameTruncatedError(20));
    }
  });

  it('throw the first error again, whatever comes after it', () => {
    const decoder = new PieceRequestDecoder();
    expect(() => decoder.push(header(8, 0))).toThrow(errors.UnknownTagError);
    expect(() => decoder.push(request())).toThrow(errors.UnknownTagError);
  });
});

describe('PieceRequestDecoder', () => {
  it.each([1, 3, 5, 7, 8, 253, 255])('refuses the tag %d as soon as it sees the header', (tag) => {
    expect(() => new PieceRequestDecoder().push(header(tag, 68))).toThrow(new errors.UnknownTagError(tag));
  });

  it.each([0, 67, 69, 2 ** 32 - 1])('weakness 12: refuses a request of %d bytes', (length) => {
    expect(() => new PieceRequestDecoder().push(header(0, length))).toThrow(errors.FrameLengthError);
  });

  it('refuses a goodbye with a value', () => {
    expect(() => new PieceRequestDecoder().push(header(254, 1))).toThrow(errors.FrameLengthError);
  });

  it.each([0, 0x20, 0x7f, 0x80, 0xff])('refuses the byte %d in a task id', (byte) => {
    const bytes = request();
    bytes[50] = byte;
    expect(() => new PieceRequestDecoder().push(bytes)).toThrow(errors.FrameTextError);
  });
});

describe('PieceAnswerDecoder', () => {
  it.each([0, 2, 4, 6, 8, 253])('refuses the tag %d', (tag) => {
    expect(() => new PieceAnswerDecoder().push(header(tag, 100))).toThrow(new errors.UnknownTagError(tag));
  });

  it.each([49, 126, 131, 2 ** 26, 2 ** 32 - 1])('does not mind a header length of %d in front of a piece', (length) => {
    const { consumed, frame } = new PieceAnswerDecoder().push(changed(2, ...uint32(length)));
    expect(frame).toMatchObject({ meta: META });
    expect(consumed).toBe(content().length);
  });

  it.each<[string, Uint8Array]>([
    ['a header that has no room for metadata', header(1, 48)],
    ['a goodbye with a value', header(254, 1)],
    ['an error without a code', header(255, 0)],
    ['a long error', header(255, MAX_ERROR_MESSAGE_BYTES + 2)],
    ['an endless error', header(255, 2 ** 32 - 1)],
    ['short metadata', changed(6, ...uint32(44))],
    ['long metadata', changed(6, ...uint32(MAX_METADATA_BYTES + 1))],
    ['endless metadata', changed(6, ...uint32(2 ** 32 - 1))],
    ['a digest that reaches past the metadata', changed(DIGEST_LENGTH_AT, ...uint32(META.digest.length + 5))],
    ['an endless digest', changed(DIGEST_LENGTH_AT, ...uint32(2 ** 32 - 1))],
    ['a parent id that reaches past the metadata', changed(PARENT_LENGTH_AT, ...uint32(META.parentId.length + 1))],
    ['an endless parent id', changed(PARENT_LENGTH_AT, ...uint32(2 ** 32 - 1))],
    ['metadata longer than its parts', changed(PARENT_LENGTH_AT, ...uint32(META.parentId.length - 1))],
  ])('refuses %s', (_, bytes) => {
    expect(() => new PieceAnswerDecoder().push(bytes)).toThrow(errors.FrameLengthError);
  });

  it.each<[string, number]>([
    ['digest', MAX_DIGEST_BYTES],
    ['parent id', MAX_PARENT_ID_BYTES],
  ])('refuses a %s that is longer than its limit though the metadata is not', (field, limit) => {
    const bytes = Buffer.alloc(METADATA_AT + 45 + limit + 1);
    bytes.set(header(1, bytes.length - 6));
    bytes.writeUInt32BE(45 + limit + 1, 6);
    bytes.writeUInt32BE(limit + 1, field === 'digest' ? DIGEST_LENGTH_AT : DIGEST_AT);
    expect(() => new PieceAnswerDecoder().push(bytes)).toThrow(new RegExp(`^${field} is ${limit + 1} bytes`));
  });

  it.each<[string, number]>([
    ['piece offset', METADATA_AT + 4],
    ['piece length', METADATA_AT + 12],
    ['piece cost', TRAFFIC_TYPE_AT + 1],
    ['piece creation time', TRAFFIC_TYPE_AT + 9],
  ])('refuses a %s that no number can hold', (field, at) => {
    const bytes = changed(at, 0x7f, ...Array<number>(7).fill(0xff));
    expect(() => new PieceAnswerDecoder().push(bytes)).toThrow(new errors.FrameNumberError(field, 2n ** 63n - 1n));
  });

  it('reads a creation time before 1970', () => {
    const bytes = changed(TRAFFIC_TYPE_AT + 9, ...Array<number>(8).fill(0xff));
    expect(new PieceAnswerDecoder().push(bytes).frame).toMatchObject({ meta: { createdAtMs: -1000 } });
  });

  it('refuses texts that are not UTF-8', () => {
    expect(() => new PieceAnswerDecoder().push(changed(DIGEST_AT, 0xff))).toThrow(/^digest is not UTF-8/);
    expect(() => new PieceAnswerDecoder().push(changed(PARENT_LENGTH_AT + 4, 0xc0))).toThrow(/^parent id is not UTF-8/);
    const error = Buffer.concat([header(255, 2), Buffer.from([2, 0x80])]);
    expect(() => new PieceAnswerDecoder().push(error)).toThrow(/^error message is not UTF-8/);
  });

  it('reads a traffic type that it does not know as none, and a foreign error code as unknown', () => {
    const piece = new PieceAnswerDecoder().push(changed(TRAFFIC_TYPE_AT, 77)).frame;
    expect(piece).toMatchObject({ meta: { ...META, trafficType: undefined } });
    const error = Buffer.concat([header(255, 3), Buffer.from([200, 0x6e, 0x6f])]);
    expect(new PieceAnswerDecoder().push(error).frame).toMatchObject({ code: 'unknown', message: 'no' });
  });
});

describe('isPieceRequestStart', () => {
  it('knows every request by its first six bytes', () => {
    for (const family of ['standard', 'persistent', 'persistentCache', 'cache'] as const) {
      const bytes = encodePieceRequest(family, '0'.repeat(64), 1, 0x50);
      expect(isPieceRequestStart(bytes)).toBe(true);
      expect(isPieceRequestStart(bytes.subarray(0, 6))).toBe(true);
      for (let length = 0; length < 6; length++) expect(isPieceRequestStart(bytes.subarray(0, length))).toBeUndefined();
    }
  });

  it.each(['PRI * HTTP/2.0\r\n', 'GET /healthy HTTP/1.1', 'CONNECT a:1 HTTP/1.1', '\x16\x03\x01\x02\x00\x01'])(
    'takes %j for something else, as soon as two bytes are there',
    (text) => {
      expect(isPieceRequestStart(Buffer.from(text, 'latin1'))).toBe(false);
      expect(isPieceRequestStart(Buffer.from(text, 'latin1').subarray(0, 2))).toBe(false);
    },
  );

  it('takes a request of another length for something else', () => {
    expect(isPieceRequestStart(header(0, 69))).toBe(false);
    expect(isPieceRequestStart(header(1, 68))).toBe(false);
  });
});

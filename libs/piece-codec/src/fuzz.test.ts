import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { answerFrame, encodeFrame, FUZZ_RUNS, requestFrame, runLengths, turnAnswerFrame } from './_arbitraries.ts';
import { PieceAnswerDecoder } from './answer-decoder.ts';
import { MalformedFrameError } from './errors.ts';
import { FrameReader, type Step } from './frame-reader.ts';
import type { Decoded } from './frames.ts';
import { PieceRequestDecoder } from './request-decoder.ts';
import { TurnAnswerDecoder } from './turn-frames.ts';

/** A tag with a meaning, a plausible length, anything after it: reaches deeper than pure noise. */
const plausible = fc
  .tuple(
    fc.constantFrom(0, 1, 2, 3, 7, 32, 33, 34, 40, 41, 254, 255),
    fc.oneof(fc.constantFrom(1, 4, 65, 69), fc.nat(1400), fc.nat(2 ** 32 - 1)),
    fc.uint8Array({ maxLength: 1500 }),
  )
  .map(([tag, length, value]) => {
    const header = Buffer.from([0, tag, 0, 0, 0, 0]);
    header.writeUInt32BE(length, 2);
    return Buffer.concat([header, value]);
  });

/** A good frame, cut short, with some bytes changed, followed by noise. */
const damaged = fc
  .tuple(
    fc.oneof(answerFrame, requestFrame, turnAnswerFrame),
    fc.nat(400),
    fc.array(fc.tuple(fc.nat(400), fc.oneof(fc.constantFrom(0, 1, 127, 128, 255), fc.nat(255))), { maxLength: 4 }),
    fc.uint8Array({ maxLength: 20 }),
  )
  .map(([frame, keep, changes, noise]) => {
    const bytes = Buffer.from(encodeFrame(frame).subarray(0, keep));
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    return Buffer.concat([bytes, noise]);
  });

const input = fc.oneof(fc.uint8Array({ maxLength: 300 }), plausible, damaged);

/** Feeds everything; the only errors that may come out are the decoder's own. Returns what happened, to compare runs. */
function outcome(
  decoder: { push(chunk: Uint8Array): Decoded<unknown>; end(): void },
  bytes: Uint8Array,
  lengths: readonly number[],
): string {
  const seen: unknown[] = [];
  try {
    let at = 0;
    for (let turn = 0; at < bytes.length; turn++) {
      const run = bytes.subarray(at, at + (lengths[turn % lengths.length] ?? 1));
      const { consumed, frame } = decoder.push(run);
      expect(consumed).toBeGreaterThan(0);
      expect(consumed).toBeLessThanOrEqual(run.length);
      if (frame === undefined) expect(consumed).toBe(run.length);
      else seen.push(frame);
      at += consumed;
    }
    decoder.end();
  } catch (error) {
    if (!(error instanceof MalformedFrameError)) throw error;
    seen.push(`${error.code}: ${error.message}`);
  }
  return JSON.stringify(seen);
}

describe('decoders given anything', () => {
  it.each<[string, () => PieceRequestDecoder | PieceAnswerDecoder | TurnAnswerDecoder]>([
    ['requests', () => new PieceRequestDecoder()],
    ['answers', () => new PieceAnswerDecoder()],
    ['turns', () => new TurnAnswerDecoder()],
  ])(
    'come to the same frames and the same own error however the bytes are cut: %s',
    (_, create) => {
      fc.assert(
        fc.property(input, runLengths, (bytes, lengths) => {
          const whole = outcome(create(), bytes, [bytes.length]);
          expect(outcome(create(), bytes, lengths)).toBe(whole);
          expect(outcome(create(), bytes, [1])).toBe(whole);
        }),
        { numRuns: FUZZ_RUNS },
      );
    },
    60_000 + FUZZ_RUNS * 5,
  );

  it('weakness 12: take memory for what a header announces only within the limits', () => {
    const NativeArray = Uint8Array;
    let largest = 0;
    globalThis.Uint8Array = new Proxy(NativeArray, {
      construct(target, args: unknown[]) {
        if (typeof args[0] === 'number') largest = Math.max(largest, args[0]);
        return Reflect.construct(target, args) as Uint8Array;
      },
    });
    try {
      fc.assert(
        fc.property(plausible, (bytes) => {
          outcome(new PieceRequestDecoder(), bytes, [bytes.length]);
          outcome(new PieceAnswerDecoder(), bytes, [bytes.length]);
          outcome(new TurnAnswerDecoder(), bytes, [bytes.length]);
        }),
        { numRuns: FUZZ_RUNS },
      );
    } finally {
      globalThis.Uint8Array = NativeArray;
    }
    expect(largest).toBeGreaterThan(100);
    expect(largest).toBeLessThanOrEqual(6 + 1 + 16 * 1024);
  });
});

describe('FrameReader', () => {
  it('holds only what has been asked for', () => {
    const sizes: number[] = [];
    const reader = new FrameReader((gathered): Step<number> => {
      sizes.push(gathered.byteLength);
      return gathered.byteLength < 16 ? { more: 5 } : { frame: gathered.byteLength };
    });
    expect(reader.push(new Uint8Array(100))).toEqual({ consumed: 16, frame: 16 });
    expect(sizes).toEqual([6, 11, 16]);
    expect(reader.push(new Uint8Array(3))).toEqual({ consumed: 3, frame: undefined });
  });
});

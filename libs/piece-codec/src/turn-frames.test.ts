import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decodeInRuns, encodeFrame, runLengths, turnAnswerFrame } from './_arbitraries.ts';
import { FrameLengthError, UnknownTagError } from './errors.ts';
import { PieceRequestDecoder } from './request-decoder.ts';
import { encodeTurnAnswer, encodeTurnRequest, TurnAnswerDecoder } from './turn-frames.ts';

const TASK_ID = 'a'.repeat(64);
const TASK_HEX = '61'.repeat(64);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('frames of turns', () => {
  it('have these bytes', () => {
    const wish = encodeTurnRequest({ kind: 'wish', packetId: 7, taskId: TASK_ID, wish: 'something' });
    expect(hex(wish)).toBe(`072000000041${TASK_HEX}01`);
    expect(hex(encodeTurnRequest({ kind: 'level', packetId: 7, level: 'full' }))).toBe('07210000000102');
    expect(hex(encodeTurnRequest({ kind: 'pass', packetId: 7, offer: 258 }))).toBe('07220000000400000102');
    expect(hex(encodeTurnRequest({ kind: 'ending', packetId: 7, offer: 258, inMs: 40 }))).toBe(
      '0723000000080000010200000028',
    );
    expect(hex(encodeTurnAnswer({ kind: 'rule', packetId: 7, mustWait: true }))).toBe('07280000000101');
    const offer = encodeTurnAnswer({ kind: 'offer', packetId: 7, offer: 258, taskId: TASK_ID, reason: 'turn' });
    expect(hex(offer)).toBe(`07290000004500000102${TASK_HEX}00`);
  });

  it('come back from a parent as they were, however they are cut into runs', () => {
    fc.assert(
      fc.property(fc.array(turnAnswerFrame, { maxLength: 5 }), runLengths, (frames, lengths) => {
        const decoder = new TurnAnswerDecoder();
        expect(decodeInRuns(decoder, Buffer.concat(frames.map(encodeFrame)), lengths)).toEqual(frames);
        decoder.end();
      }),
    );
  });

  it('of another length are refused before their value is read', () => {
    for (const [tag, length] of [
      [32, 64],
      [33, 2],
      [34, 2 ** 32 - 1],
    ] as const) {
      const header = Buffer.from([0, tag, 0, 0, 0, 0]);
      header.writeUInt32BE(length, 2);
      expect(() => new PieceRequestDecoder().push(header)).toThrow(FrameLengthError);
    }
  });

  it('are understood in their own direction only', () => {
    const offer = encodeTurnAnswer({ kind: 'offer', packetId: 0, offer: 1, taskId: TASK_ID, reason: 'fresh' });
    const level = encodeTurnRequest({ kind: 'level', packetId: 0, level: 'idle' });
    expect(() => new PieceRequestDecoder().push(offer)).toThrow(UnknownTagError);
    expect(() => new TurnAnswerDecoder().push(level)).toThrow(UnknownTagError);
  });

  it('with a level that means nothing to us speak of a child that takes no turns', () => {
    const level = encodeTurnRequest({ kind: 'level', packetId: 0, level: 'idle' });
    level[6] = 9;
    expect(new PieceRequestDecoder().push(level).frame).toMatchObject({ kind: 'level', level: 'full' });
  });
});

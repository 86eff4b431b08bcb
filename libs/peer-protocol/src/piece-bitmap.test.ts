import { create, toBinary } from '@bufbuild/protobuf';
import { swarm } from '@d7y/api';
import { MAX_PIECE_COUNT, PieceSet } from '@d7y/piece';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { piecesOf, toPieceBitmap } from './piece-bitmap.ts';

const message = (pieceNumbers: Iterable<number>): swarm.PieceBitmap =>
  create(swarm.PieceBitmapSchema, toPieceBitmap(pieceNumbers));
const sizeOf = (pieceNumbers: Iterable<number>): number =>
  toBinary(swarm.PieceBitmapSchema, message(pieceNumbers)).length;

describe('a piece bitmap', () => {
  it('tells every set of pieces as it is', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.nat(300), fc.nat(MAX_PIECE_COUNT - 1)), { maxLength: 400 }), (numbers) => {
        const set = new PieceSet(numbers);
        expect([...piecesOf(message(set))]).toEqual([...set]);
      }),
    );
  });

  it('is small where all pieces are there, where few are, and where they lie scattered', () => {
    expect(sizeOf(PieceSet.upTo(10_000))).toBeLessThan(8);
    expect(sizeOf([9_000, 9_001, 9_003])).toBeLessThan(12);
    expect(sizeOf(Array.from({ length: 5_000 }, (_, index) => index * 2))).toBeLessThan(1_300);
  });

  it.each([
    [
      'runs that go back',
      [
        { first: 10, count: 2 },
        { first: 5, count: 2 },
      ],
      [10, 11],
    ],
    [
      'the same run again',
      [
        { first: 0, count: 2 },
        { first: 0, count: 2 },
      ],
      [0, 1],
    ],
    ['more pieces than there can be', [{ first: 1, count: 2 ** 31 }], []],
  ])('ends at %s', (_, runs, expected) => {
    expect([...piecesOf(create(swarm.PieceBitmapSchema, { runs }))]).toEqual(expected);
  });
});

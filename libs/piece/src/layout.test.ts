import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { vectors } from './_vectors.ts';
import { InvalidLayoutError, PieceOutOfRangeError } from './errors.ts';
import {
  createLayout,
  MAX_PIECE_COUNT,
  MAX_PIECE_LENGTH,
  MIN_PIECE_LENGTH,
  pieceLengthFor,
  pieceRange,
  piecesOf,
} from './layout.ts';

/** Small enough that every piece can be looked at. */
const smallLayout = fc
  .tuple(fc.nat(5000), fc.integer({ min: 1, max: 300 }))
  .map(([contentLength, pieceLength]) => createLayout(contentLength, pieceLength));

describe('createLayout', () => {
  it.each(vectors.pieceLength)('cuts $contentLength bytes as agreed', ({ contentLength, pieceLength, pieceCount }) => {
    expect(createLayout(contentLength)).toEqual({ contentLength, pieceLength, pieceCount });
  });

  it('takes a piece length that the caller insists on', () => {
    expect(createLayout(10, 4)).toEqual({ contentLength: 10, pieceLength: 4, pieceCount: 3 });
  });

  it.each([
    [-1, 4],
    [1.5, 4],
    [NaN, 4],
    [2 ** 53, 2 ** 40],
    [10, 0],
    [10, -4],
    [10, 0.5],
    [MAX_PIECE_COUNT + 1, 1],
  ])('refuses to cut %d bytes into pieces of %d', (contentLength, pieceLength) => {
    expect(() => createLayout(contentLength, pieceLength)).toThrow(InvalidLayoutError);
  });

  it('cuts as many pieces as a set can hold, and no more', () => {
    expect(createLayout(MAX_PIECE_COUNT, 1).pieceCount).toBe(MAX_PIECE_COUNT);
  });
});

describe('pieceLengthFor', () => {
  it('is a power of two within the bounds, and the smallest that keeps to 500 pieces and the rounding', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 46), (contentLength) => {
        const length = pieceLengthFor(contentLength);
        expect(Math.log2(length) % 1).toBe(0);
        expect(length).toBeGreaterThanOrEqual(MIN_PIECE_LENGTH);
        expect(length).toBeLessThanOrEqual(MAX_PIECE_LENGTH);
        if (length < MAX_PIECE_LENGTH) expect(length).toBeGreaterThanOrEqual(Math.floor(contentLength / 500));
        if (length > MIN_PIECE_LENGTH) expect(length / 2).toBeLessThan(Math.floor(contentLength / 500));
      }),
    );
  });
});

describe('pieceRange', () => {
  it('gives the last piece only the bytes that remain', () => {
    expect(pieceRange(createLayout(10, 4), 2)).toEqual({ start: 8, length: 2 });
  });

  it('covers the content with all pieces, each byte once', () => {
    fc.assert(
      fc.property(smallLayout, (layout) => {
        let end = 0;
        for (let number = 0; number < layout.pieceCount; number++) {
          const { start, length } = pieceRange(layout, number);
          expect(start).toBe(end);
          expect(length).toBeGreaterThan(0);
          end = start + length;
        }
        expect(end).toBe(layout.contentLength);
      }),
    );
  });

  it.each([-1, 3, 0.5, NaN, Infinity])('knows no piece %d of three', (number) => {
    expect(() => pieceRange(createLayout(10, 4), number)).toThrow(PieceOutOfRangeError);
  });

  it('knows no piece of empty content', () => {
    expect(() => pieceRange(createLayout(0), 0)).toThrow(PieceOutOfRangeError);
  });
});

describe('piecesOf', () => {
  it('names exactly the pieces that share a byte with the range', () => {
    fc.assert(
      fc.property(smallLayout, fc.nat(6000), fc.nat(6000), (layout, start, length) => {
        const touched = Array.from({ length: layout.pieceCount }, (_, number) => number).filter((number) => {
          const piece = pieceRange(layout, number);
          return Math.max(piece.start, start) < Math.min(piece.start + piece.length, start + length);
        });
        const [first, last] = [touched[0], touched.at(-1)];
        expect(piecesOf(layout, { start, length })).toEqual(first === undefined ? undefined : { first, last });
      }),
    );
  });
});

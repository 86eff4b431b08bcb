import { describe, expect, it } from '@jest/globals';
import { pieceOrder } from './piece-order.ts';

const [seed, peer] = [
  { isSeed: true, isComplete: true },
  { isSeed: false, isComplete: true },
] as const;
const fetching = { isSeed: false, isComplete: false };
const order = (finished: number, ...parents: { isSeed: boolean; isComplete: boolean }[]) =>
  pieceOrder({ finished, parents });

describe('pieceOrder', () => {
  it('is ascending where all parents have everything', () => {
    expect(order(10, peer)).toBe('ascending');
    expect(order(10, seed, peer)).toBe('ascending');
    expect(order(10, seed, seed)).toBe('ascending');
  });

  it('is not ascending with a lone seed: a crowd would ask it for the same pieces', () => {
    expect(order(10, seed)).toBe('rarest');
    expect(order(0, seed)).toBe('random');
  });

  it('begins at random, and goes on with the rarest, where a parent is fetching itself', () => {
    expect(order(3, peer, fetching)).toBe('random');
    expect(order(4, peer, fetching)).toBe('rarest');
  });
});

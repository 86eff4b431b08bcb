import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { PieceOutOfRangeError } from './errors.ts';
import { MAX_PIECE_COUNT } from './layout.ts';
import { PieceSet } from './piece-set.ts';

const ascending = (numbers: Iterable<number>): number[] => [...numbers].sort((a, b) => a - b);
/** Mostly close together, so that words fill up; now and then far away. */
const pieceNumber = fc.oneof({ weight: 9, arbitrary: fc.nat(130) }, fc.nat(MAX_PIECE_COUNT - 1));
const step = fc.record({ action: fc.constantFrom('add' as const, 'delete' as const), number: pieceNumber });

describe('PieceSet', () => {
  it('behaves as a Set does', () => {
    fc.assert(
      fc.property(fc.array(pieceNumber), fc.array(step, { maxLength: 200 }), (initial, steps) => {
        const model = new Set(initial);
        const set = new PieceSet(initial);
        for (const { action, number } of steps) {
          const changes = action === 'add' ? !model.has(number) : model.has(number);
          model[action](number);
          expect(set[action](number)).toBe(changes);
          expect(set.has(number)).toBe(model.has(number));
          expect(set.size).toBe(model.size);
        }
        expect([...set]).toEqual(ascending(model));
      }),
    );
  });

  it('finds the first number that is missing', () => {
    fc.assert(
      fc.property(fc.nat(200), fc.array(fc.nat(250), { maxLength: 6 }), fc.nat(220), (count, holes, from) => {
        const set = PieceSet.upTo(count);
        for (const hole of holes) set.delete(hole);
        let expected = from;
        while (expected < count && !holes.includes(expected)) expected++;
        expect(set.firstMissing(from)).toBe(expected);
      }),
    );
  });

  it('is left with what none of the others has', () => {
    const numbers = fc.uniqueArray(fc.integer({ min: 0, max: 2000 }), { maxLength: 200 });
    fc.assert(
      fc.property(numbers, numbers, numbers, (all, some, others) => {
        const rest = new PieceSet(all).minus(new PieceSet(some), new PieceSet(others));
        const expected = all.filter((number) => !some.includes(number) && !others.includes(number));
        expect([...rest]).toEqual(expected.sort((a, b) => a - b));
        expect(rest.size).toBe(expected.length);
      }),
    );
  });

  it('starts at 0 when looking for what is missing', () => {
    expect(PieceSet.upTo(64).firstMissing()).toBe(64);
    expect(new PieceSet().firstMissing()).toBe(0);
  });

  it.each([-1, 0.5, NaN, Infinity, MAX_PIECE_COUNT, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1])(
    'has no room for %d',
    (number) => {
      const set = new PieceSet([0, 1]);
      expect(() => set.add(number)).toThrow(PieceOutOfRangeError);
      expect(set.has(number)).toBe(false);
      expect(set.delete(number)).toBe(false);
      expect([...set]).toEqual([0, 1]);
    },
  );

  it('takes the last piece that a task can have', () => {
    const set = new PieceSet([MAX_PIECE_COUNT - 1]);
    expect([...set]).toEqual([MAX_PIECE_COUNT - 1]);
    expect(set.firstMissing(MAX_PIECE_COUNT - 1)).toBe(MAX_PIECE_COUNT);
  });
});

import { PieceSet } from '@d7y/piece';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { seededRandom } from './_seeded-random.ts';
import { chooseHolder, choosePiece } from './_piece-selection.ts';
import type { PieceCandidateParent } from './_piece-selection.ts';

const parent = (id: string, pieces: number[], more: Partial<PieceCandidateParent> = {}): PieceCandidateParent => ({
  id,
  pieces: new PieceSet(pieces),
  inFlight: 0,
  weight: 1,
  ...more,
});
const choose = (wanted: number[], parents: PieceCandidateParent[], maxPerParent = 4, random = seededRandom(1)) =>
  choosePiece({ wanted: new PieceSet(wanted), parents, maxPerParent, random });

describe('choosePiece', () => {
  it('takes the piece that the fewest parents have', () => {
    const parents = [parent('a', [0, 1, 2]), parent('b', [0, 1, 2]), parent('c', [0, 2])];
    expect(choose([0, 1, 2], parents)?.pieceNumber).toBe(1);
  });

  it('counts a busy parent for rarity but does not choose it', () => {
    const parents = [parent('a', [0, 1]), parent('busy', [0], { inFlight: 4 })];
    expect(choose([0, 1], parents)).toEqual({ pieceNumber: 1, parentId: 'a' });
    expect(choose([0], parents)).toEqual({ pieceNumber: 0, parentId: 'a' });
    expect(choose([0], [parent('busy', [0], { inFlight: 4 })])).toBeUndefined();
  });

  it('spreads equally rare pieces at random', () => {
    const random = seededRandom(7);
    const counts = new Map<number, number>();
    for (let round = 0; round < 4000; round++) {
      const number = choose([3, 40, 77, 90], [parent('a', [3, 40, 77, 90])], 4, random)?.pieceNumber ?? -1;
      counts.set(number, (counts.get(number) ?? 0) + 1);
    }
    for (const number of [3, 40, 77, 90]) expect(counts.get(number)).toBeGreaterThan(850);
  });

  it('prefers the parent with the least load for its weight', () => {
    const parents = [parent('slow', [0], { inFlight: 1, weight: 1 }), parent('fast', [0], { inFlight: 2, weight: 4 })];
    expect(choose([0], parents)?.parentId).toBe('fast');
    expect(choose([0], [parent('unknown', [0], { weight: 0 }), parent('b', [0])])?.parentId).toBe('b');
    expect(choose([0], [parent('unknown', [0], { weight: 0 })])?.parentId).toBe('unknown');
  });

  it('takes what is urgent first, in its order, where a free parent has it', () => {
    const parents = [parent('a', [0, 1, 2, 3]), parent('b', [0, 1, 3]), parent('busy', [7], { inFlight: 4 })];
    const input = { parents, maxPerParent: 4, random: seededRandom(1) };
    expect(choosePiece({ ...input, wanted: new PieceSet([0, 1, 2, 7]), urgent: [7, 5, 1, 0] })?.pieceNumber).toBe(1);
    expect(choosePiece({ ...input, wanted: new PieceSet([0, 2]), urgent: [7] })?.pieceNumber).toBe(2);
  });

  it('takes any piece, rare or not, for a peer that has nothing yet', () => {
    const random = seededRandom(3);
    const parents = [parent('a', [0, 1, 2, 3]), parent('b', [0, 1, 2])];
    const seen = new Set<number>();
    for (let round = 0; round < 200; round++) {
      const wanted = new PieceSet([0, 1, 2, 3]);
      seen.add(choosePiece({ wanted, parents, order: 'random', maxPerParent: 4, random })?.pieceNumber ?? -1);
    }
    expect([...seen].sort()).toEqual([0, 1, 2, 3]);
  });

  it('takes the first piece that a free parent has where none can be rare', () => {
    const input = { order: 'ascending', maxPerParent: 4, random: seededRandom(1) } as const;
    const parents = [parent('a', [2, 3, 4]), parent('b', [3, 4]), parent('busy', [1, 2, 3, 4], { inFlight: 4 })];
    expect(choosePiece({ ...input, wanted: new PieceSet([1, 2, 3, 4]), parents })).toEqual({
      pieceNumber: 2,
      parentId: 'a',
    });
    expect(choosePiece({ ...input, wanted: new PieceSet([1]), parents })).toBeUndefined();
  });

  it('has nothing to say without wanted pieces or without parents', () => {
    expect(choose([], [parent('a', [0])])).toBeUndefined();
    expect(choose([0], [])).toBeUndefined();
    expect(choose([0], [parent('a', [1])])).toBeUndefined();
  });

  it('always names a wanted piece of minimal rarity and a parent that has it and a free slot', () => {
    const numbers = fc.uniqueArray(fc.nat(60), { maxLength: 40 });
    const parents = fc.array(
      fc.record({ pieces: numbers, inFlight: fc.nat(5), weight: fc.double({ min: 0, max: 10, noNaN: true }) }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(numbers, parents, fc.nat(), (wanted, drafts, seed) => {
        const all = drafts.map((draft, index) =>
          parent(String(index), draft.pieces, { inFlight: draft.inFlight, weight: draft.weight }),
        );
        const choice = choose(wanted, all, 3, seededRandom(seed));
        const free = all.filter(({ inFlight }) => inFlight < 3);
        const possible = wanted.filter((number) => free.some(({ pieces }) => pieces.has(number)));
        const rarity = (number: number): number => all.filter(({ pieces }) => pieces.has(number)).length;
        if (choice === undefined) {
          expect(possible).toEqual([]);
          return;
        }
        expect(possible).toContain(choice.pieceNumber);
        expect(rarity(choice.pieceNumber)).toBe(Math.min(...possible.map(rarity)));
        expect(free.find(({ id }) => id === choice.parentId)?.pieces.has(choice.pieceNumber)).toBe(true);
      }),
    );
  });
});

describe('chooseHolder', () => {
  it('names the least loaded parent that has the piece and a free slot', () => {
    const parents = [
      parent('full', [5], { inFlight: 4, weight: 100 }),
      parent('loaded', [5], { inFlight: 2 }),
      parent('idle', [5], { inFlight: 1 }),
      parent('without', [4]),
    ];
    expect(chooseHolder(5, { parents, maxPerParent: 4, random: seededRandom(1) })).toBe('idle');
    expect(chooseHolder(6, { parents, maxPerParent: 4, random: seededRandom(1) })).toBeUndefined();
  });
});

import { PieceSet } from '@d7y/piece';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { seededRandom } from './_seeded-random.ts';
import { PiecePicker } from './piece-picker.ts';
import type { PieceOrder } from './piece-picker.ts';

const PIECES = 70;
const MAX_PER_PARENT = 3;

/** What the picker should know, kept as plain sets. */
interface ModelParent {
  readonly slot: number;
  readonly pieces: Set<number>;
  inFlight: number;
  weight: number;
  isUsable: boolean;
}

type Step =
  | { readonly kind: 'add'; readonly weight: number }
  | { readonly kind: 'announce' | 'retract'; readonly parent: number; readonly piece: number }
  | { readonly kind: 'remove' | 'begin' | 'end' | 'rest' | 'use'; readonly parent: number };

const parentIndex = fc.nat(11);
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), weight: fc.integer({ min: 0, max: 4 }) }),
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constant('announce' as const), parent: parentIndex, piece: fc.nat(PIECES + 5) }),
  },
  fc.record({ kind: fc.constant('retract' as const), parent: parentIndex, piece: fc.nat(PIECES - 1) }),
  fc.record({
    kind: fc.constantFrom('remove' as const, 'begin' as const, 'end' as const, 'rest' as const, 'use' as const),
    parent: parentIndex,
  }),
);

function take(step: Step, picker: PiecePicker, parents: ModelParent[]): void {
  if (step.kind === 'add') {
    const slot = picker.addParent(step.weight);
    expect(parents.map((parent) => parent.slot)).not.toContain(slot);
    parents.push({ slot, pieces: new Set(), inFlight: 0, weight: step.weight, isUsable: true });
    return;
  }
  const parent = parents[step.parent];
  if (parent === undefined) return;
  if (step.kind === 'announce') {
    expect(picker.announced(parent.slot, step.piece)).toBe(step.piece < PIECES && !parent.pieces.has(step.piece));
    if (step.piece < PIECES) parent.pieces.add(step.piece);
  } else if (step.kind === 'retract') {
    expect(picker.retracted(parent.slot, step.piece)).toBe(parent.pieces.delete(step.piece));
  } else if (step.kind === 'remove') {
    picker.removeParent(parent.slot);
    parents.splice(step.parent, 1);
  } else if (step.kind === 'begin') {
    picker.begun(parent.slot);
    parent.inFlight++;
  } else if (step.kind === 'end') {
    picker.ended(parent.slot);
    parent.inFlight = Math.max(parent.inFlight - 1, 0);
  } else {
    parent.isUsable = step.kind === 'use';
    picker.setUsable(parent.slot, parent.isUsable);
  }
}

describe('PiecePicker', () => {
  it('chooses by its rules after whatever was announced and whoever left', () => {
    const numbers = fc.uniqueArray(fc.nat(PIECES - 1), { maxLength: PIECES });
    const orders = fc.constantFrom<PieceOrder>('rarest', 'random', 'ascending');
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 150 }), numbers, numbers, orders, fc.nat(), (...drawn) => {
        const [history, wanted, urgent, order, seed] = drawn;
        const picker = new PiecePicker(PIECES, { random: seededRandom(seed), slots: 2 });
        const parents: ModelParent[] = [];
        for (const step of history) take(step, picker, parents);

        const usable = parents.filter(({ isUsable }) => isUsable);
        const free = usable.filter(({ inFlight }) => inFlight < MAX_PER_PARENT);
        const rarity = (number: number): number => usable.filter(({ pieces }) => pieces.has(number)).length;
        const possible = wanted
          .filter((number) => free.some(({ pieces }) => pieces.has(number)))
          .sort((one, other) => one - other);
        for (let number = 0; number < PIECES; number++) expect(picker.holdersOf(number)).toBe(rarity(number));
        for (const { slot, pieces } of parents) {
          expect(picker.heldBy(slot)).toBe(pieces.size);
          expect(picker.hasAnyOf(slot, new PieceSet(wanted))).toBe(wanted.some((number) => pieces.has(number)));
        }

        const firstUrgent = urgent.slice(0, 2).find((number) => possible.includes(number));
        const picked = picker.pick({
          wanted: new PieceSet(wanted),
          order,
          maxPerParent: MAX_PER_PARENT,
          urgent: urgent.slice(0, 2),
        });
        if (picked === undefined) {
          expect(possible).toEqual([]);
          return;
        }
        expect(possible).toContain(picked.pieceNumber);
        if (firstUrgent !== undefined) expect(picked.pieceNumber).toBe(firstUrgent);
        else if (order === 'ascending') expect(picked.pieceNumber).toBe(possible[0]);
        else if (order === 'rarest') expect(rarity(picked.pieceNumber)).toBe(Math.min(...possible.map(rarity)));
        const load = ({ inFlight, weight }: ModelParent): number => (inFlight + 1) / Math.max(weight, 1e-9);
        const holders = free.filter(({ pieces }) => pieces.has(picked.pieceNumber));
        const chosen = holders.find(({ slot }) => slot === picked.slot);
        expect(chosen && load(chosen)).toBe(Math.min(...holders.map(load)));
      }),
    );
  });

  it('takes of what is equally rare what is hot, and nothing hot before what is rarer', () => {
    const picker = new PiecePicker(PIECES, { random: seededRandom(1) });
    const [first, second] = [picker.addParent(), picker.addParent()];
    for (const piece of [1, 2, 40, 41]) picker.announced(first, piece);
    for (const piece of [1, 40]) picker.announced(second, piece);
    const rule = { wanted: PieceSet.upTo(PIECES), maxPerParent: 1 };
    const hot = new PieceSet([40, 41]);
    expect(picker.pick({ ...rule, order: 'rarest', hot })?.pieceNumber).toBe(41);
    expect(picker.pickFrom(second, { wanted: rule.wanted, order: 'rarest', hot })).toBe(40);
    expect(picker.pick({ ...rule, wanted: new PieceSet([1, 2, 40]), order: 'rarest', hot })?.pieceNumber).toBe(2);
    expect(picker.pick({ ...rule, order: 'ascending', hot })?.pieceNumber).toBe(1);
  });

  it('gives the slot of a parent that left to the next one, without its pieces', () => {
    const picker = new PiecePicker(4, { random: seededRandom(1) });
    const [first, second] = [picker.addParent(), picker.addParent()];
    picker.announced(first, 2);
    picker.announced(second, 2);
    picker.begun(first);
    picker.removeParent(first);
    expect(picker.holdersOf(2)).toBe(1);
    expect(picker.addParent()).toBe(first);
    expect(picker.has(first, 2)).toBe(false);
    expect(picker.inFlight(first)).toBe(0);
  });

  it('chooses the rarest of what one parent has, when that parent has its turn', () => {
    const picker = new PiecePicker(40, { random: seededRandom(1) });
    const [first, second] = [picker.addParent(), picker.addParent()];
    for (const pieceNumber of [1, 35, 36]) picker.announced(first, pieceNumber);
    for (const pieceNumber of [0, 1, 36]) picker.announced(second, pieceNumber);
    expect(picker.pickFrom(first, { wanted: new PieceSet([0, 1, 35, 36]), order: 'rarest' })).toBe(35);
    expect(picker.pickFrom(first, { wanted: new PieceSet([0]), order: 'rarest' })).toBe(-1);
    picker.setUsable(first, false);
    expect(picker.pickFrom(first, { wanted: new PieceSet([1]), order: 'rarest' })).toBe(-1);
  });

  it('asks nobody who is excluded, though what they have is not rare', () => {
    const picker = new PiecePicker(2, { random: seededRandom(1) });
    const [first, second] = [picker.addParent(), picker.addParent()];
    for (const [slot, pieceNumber] of [
      [first, 0],
      [second, 0],
      [second, 1],
    ] as const)
      picker.announced(slot, pieceNumber);
    const rule = { wanted: PieceSet.upTo(2), order: 'rarest', maxPerParent: 1 } as const;
    const picked = { pieceNumber: 0, slot: first };
    expect(picker.pick({ ...rule, isExcluded: (slot) => slot === second })).toEqual(picked);
    expect(picker.pick({ ...rule, urgent: [1, 0], isExcluded: (slot) => slot === second })).toEqual(picked);
    expect(picker.pick({ ...rule, isExcluded: () => true })).toBeUndefined();
  });

  it('asks nobody who is excluded for a late piece', () => {
    const picker = new PiecePicker(1, { random: seededRandom(1) });
    const [first, second] = [picker.addParent(), picker.addParent()];
    picker.announced(first, 0);
    picker.announced(second, 0);
    expect(picker.pickHolder(0, 1, (slot) => slot === first)).toBe(second);
    expect(picker.pickHolder(0, 1, () => true)).toBe(-1);
  });
});

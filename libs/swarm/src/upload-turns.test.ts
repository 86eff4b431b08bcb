import { describe, expect, it } from '@jest/globals';
import { drawChild, isOpenForTurns, mayGiveTurn, mayTakeTurn, TURN_RULES } from './upload-turns.ts';

const { maxSending, maxReceiving } = TURN_RULES;

describe('mayGiveTurn', () => {
  it('gives one turn at a time', () => {
    expect(mayGiveTurn({ given: 0, sending: 0, use: 0 })).toBe(true);
    expect(mayGiveTurn({ given: 1, sending: 0, use: 0 })).toBe(false);
  });

  it('sends more than one piece only while these leave some of the uplink', () => {
    expect(mayGiveTurn({ given: 0, sending: 1, use: 1 })).toBe(false);
    expect(mayGiveTurn({ given: 0, sending: 1, use: 0.5 })).toBe(true);
    expect(mayGiveTurn({ given: 0, sending: maxSending, use: 0.1 })).toBe(false);
  });
});

describe('isOpenForTurns', () => {
  it('takes one offer at a time', () => {
    expect(isOpenForTurns({ taken: 0, receiving: 0, use: 0 })).toBe(true);
    expect(isOpenForTurns({ taken: 1, receiving: 0, use: 0 })).toBe(false);
  });

  it('receives more than one piece only while these leave some of the downlink', () => {
    expect(isOpenForTurns({ taken: 0, receiving: 1, use: 1 })).toBe(false);
    expect(isOpenForTurns({ taken: 0, receiving: 1, use: 0.1 })).toBe(true);
    expect(isOpenForTurns({ taken: 0, receiving: maxReceiving, use: 0.1 })).toBe(false);
  });
});

describe('mayTakeTurn', () => {
  it('takes a piece that nobody else has beside one that is coming, and no more', () => {
    const busy = { taken: 0, receiving: 1, use: 1 };
    expect(mayTakeTurn(busy, { isFromSource: false })).toBe(false);
    expect(mayTakeTurn(busy, { isFromSource: true })).toBe(true);
    expect(mayTakeTurn({ ...busy, taken: 1 }, { isFromSource: true })).toBe(false);
  });
});

describe('drawChild', () => {
  it('draws only who may be offered the turn, and each of these sometimes', () => {
    const drawn = new Set<number | undefined>();
    for (let place = 0; place < 1; place += 0.1)
      drawn.add(
        drawChild(
          [0, 1, 2, 3, 4],
          (child) => child % 2 === 1,
          () => place,
        ),
      );
    expect(drawn).toEqual(new Set([1, 3]));
    expect(
      drawChild(
        [0, 2],
        (child) => child === 1,
        () => 0,
      ),
    ).toBeUndefined();
  });
});

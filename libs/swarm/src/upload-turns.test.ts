import { describe, expect, it } from '@jest/globals';
import {
  drawChild,
  isOpenForTurns,
  mayGiveTurn,
  mayTakeTurn,
  slowAfterMs,
  TURN_RULES,
  turnLeadMs,
  turnsAtOnce,
  typicalDuration,
} from './upload-turns.ts';

const { maxSending, maxReceiving, slowMs, slowTimes } = TURN_RULES;
const IDLE = { promised: 0, running: 0, areSlow: false, atOnce: 1 };
const BUSY = { ...IDLE, running: 1 };
const SLOW = { ...BUSY, areSlow: true };

describe('mayGiveTurn', () => {
  it('gives one turn at a time', () => {
    expect(mayGiveTurn(IDLE)).toBe(true);
    expect(mayGiveTurn({ ...IDLE, promised: 1 })).toBe(false);
    expect(mayGiveTurn(BUSY)).toBe(false);
  });

  it('gives another one beside a piece that takes much longer than pieces do, up to a few', () => {
    expect(mayGiveTurn(SLOW)).toBe(true);
    expect(mayGiveTurn({ ...SLOW, running: maxSending })).toBe(false);
    expect(mayGiveTurn({ ...SLOW, promised: 1 })).toBe(false);
  });
});

describe('isOpenForTurns', () => {
  it('takes one offer at a time, and another one beside what comes slowly', () => {
    expect(isOpenForTurns(IDLE)).toBe(true);
    expect(isOpenForTurns({ ...IDLE, promised: 1 })).toBe(false);
    expect(isOpenForTurns(BUSY)).toBe(false);
    expect(isOpenForTurns(SLOW)).toBe(true);
    expect(isOpenForTurns({ ...SLOW, running: maxReceiving })).toBe(false);
  });
});

describe('mayTakeTurn', () => {
  const idleSource = { isFromSource: true, inMs: 0 };

  it('takes a piece that nobody else has where what is coming will be over by then', () => {
    expect(mayTakeTurn(BUSY, 10, { isFromSource: false, inMs: 10 })).toBe(false);
    expect(mayTakeTurn(BUSY, 10, { isFromSource: true, inMs: 10 })).toBe(true);
    expect(mayTakeTurn(BUSY, 30, { isFromSource: true, inMs: 10 })).toBe(false);
  });

  it('does not leave the uplink of its holder idle, but for one that was taken already', () => {
    expect(mayTakeTurn(BUSY, 30, idleSource)).toBe(true);
    expect(mayTakeTurn({ ...BUSY, running: 2 }, 30, idleSource)).toBe(false);
    expect(mayTakeTurn({ ...BUSY, promised: 1 }, 30, idleSource)).toBe(false);
  });
});

describe('slowAfterMs', () => {
  it('goes by what pieces took of late, near the least', () => {
    expect(slowAfterMs(0)).toBe(slowMs);
    expect(slowAfterMs(typicalDuration(0, 300))).toBe(slowTimes * 300);
    expect(typicalDuration(300, 30)).toBe(30);
    expect(typicalDuration(30, 300)).toBeLessThan(60);
  });
});

describe('turnLeadMs', () => {
  it('goes by how long answers take, within bounds', () => {
    expect(turnLeadMs(0)).toBe(TURN_RULES.leadMs);
    expect(turnLeadMs(20)).toBe(20 * TURN_RULES.leadAnswers);
    expect(turnLeadMs(10_000)).toBe(TURN_RULES.mostLeadMs);
  });
});

describe('turnsAtOnce', () => {
  it('has one turn under way while messages are quick, more where they take a good part of the time of a piece, up to a few', () => {
    expect(turnsAtOnce(100, 0)).toBe(1);
    expect([0, 1, 6, 10, 20, 40, 80, 1_000].map((answerMs) => turnsAtOnce(answerMs, 33))).toEqual([
      1,
      1,
      1,
      1,
      2,
      3,
      maxSending,
      maxSending,
    ]);
  });

  it('lets promised and running turns be so many together', () => {
    const two = { ...IDLE, atOnce: 2 };
    for (const mayBegin of [mayGiveTurn, isOpenForTurns]) {
      expect(mayBegin({ ...two, promised: 1 })).toBe(true);
      expect(mayBegin({ ...two, running: 1 })).toBe(true);
      expect(mayBegin({ ...two, promised: 1, running: 1 })).toBe(false);
      expect(mayBegin({ ...two, promised: 2 })).toBe(false);
    }
  });
});

describe('drawChild', () => {
  const PLACES = Array.from({ length: 10 }, (_, index) => index / 10);
  const drawnOf = (ranks: readonly number[], mayBeOffered: (child: number) => boolean): Set<number | undefined> =>
    new Set(
      PLACES.map((place) =>
        drawChild(
          [...ranks.keys()],
          (child) => ranks[child] ?? Infinity,
          mayBeOffered,
          () => place,
        ),
      ),
    );

  it('draws only who may be offered the turn, and each of these sometimes', () => {
    expect(drawnOf([0, 0, 0, 0, 0], (child) => child % 2 === 1)).toEqual(new Set([1, 3]));
    expect(drawnOf([0, 0], () => false)).toEqual(new Set([undefined]));
  });

  it('draws who comes first, where that is somebody who may be offered it', () => {
    expect(drawnOf([1, 0, 1, 0], () => true)).toEqual(new Set([1, 3]));
    expect(drawnOf([1, 0, 1, Infinity], (child) => child !== 1)).toEqual(new Set([0, 2]));
    expect(drawnOf([Infinity], () => true)).toEqual(new Set([undefined]));
  });
});

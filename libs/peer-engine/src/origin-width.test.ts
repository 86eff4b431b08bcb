import { describe, expect, it } from '@jest/globals';
import { OriginWidth } from './origin-width.ts';

interface Flow {
  readonly fromMs?: number;
  readonly forMs?: number;
  readonly firstPieceMs?: number;
  readonly isWanted?: boolean;
  /** Requests that are made at most. */
  readonly most?: number;
}

/**
 * Lets bytes come for a while, at a rate that depends on how many requests there are and on the time; the first piece is whole after so long.
 * @returns the widths that there were
 */
function flow(
  width: OriginWidth,
  bytesPerMs: (width: number, nowMs: number) => number,
  { fromMs = 0, forMs = 10_000, firstPieceMs = 0, isWanted = false, most = Infinity }: Flow = {},
): readonly number[] {
  const widths = [width.width];
  for (let nowMs = fromMs; nowMs <= fromMs + forMs; nowMs += 10) {
    if (nowMs === firstPieceMs) width.finished();
    const running = Math.min(width.width, most);
    width.received(bytesPerMs(running, nowMs) * 10, nowMs, { running, isWanted });
    if (width.width !== widths.at(-1)) widths.push(width.width);
  }
  return widths;
}

describe('OriginWidth', () => {
  it('goes back to one request where a second one shares the link of the first', () => {
    expect(flow(new OriginWidth(4), () => 100)).toEqual([1, 2, 1]);
  });

  it('goes up as long as that brings more', () => {
    expect(flow(new OriginWidth(4), (width) => 100 * width)).toEqual([1, 2, 4]);
    expect(flow(new OriginWidth(6), (width) => 100 * width)).toEqual([1, 2, 4, 6]);
    expect(flow(new OriginWidth(8), (width) => 100 * Math.min(width, 3))).toEqual([1, 2, 4, 8, 4]);
  });

  it('tries nothing where one is all there may be', () => {
    expect(flow(new OriginWidth(1), (width) => 100 * width)).toEqual([1]);
  });

  it('tries a second one only when the first one has shown its rate', () => {
    expect(flow(new OriginWidth(4), () => 100, { forMs: 800 })).toEqual([1]);
  });

  it('tries a second one only when the first piece is whole: others wait for it', () => {
    const times = { firstPieceMs: 3_000, forMs: 2_900 };
    expect(flow(new OriginWidth(4), () => 100, times)).toEqual([1]);
    expect(flow(new OriginWidth(4), () => 100, { ...times, forMs: 10_000 })).toEqual([1, 2, 1]);
  });

  it('does not take a slow start of the first one for a gain by the second', () => {
    expect(flow(new OriginWidth(4), (_, nowMs) => Math.min(nowMs / 3, 100))).toEqual([1, 2, 1]);
  });

  it('does not judge a request that nobody has made', () => {
    const width = new OriginWidth(8);
    expect(flow(width, (count) => 100 * count, { most: 2 })).toEqual([1, 2, 4]);
    expect(flow(width, (count) => 100 * count, { fromMs: 10_010 })).toEqual([4, 8]);
  });

  it('tries one more again after a while, where it is wanted', () => {
    const width = new OriginWidth(4);
    expect(flow(width, () => 100, { forMs: 30_000 })).toEqual([1, 2, 1]);
    expect(flow(width, (count) => 100 * count, { fromMs: 30_010, isWanted: true })).toEqual([1, 2, 4]);
    const other = new OriginWidth(4);
    // After 5, 10, 20 and 40 s.
    const widths = flow(other, () => 100, { forMs: 90_000, isWanted: true });
    expect(widths.filter((count) => count === 2)).toHaveLength(5);
  });

  it('says when a request is a trial', () => {
    const width = new OriginWidth(4);
    expect(width.isTrial(0)).toBe(false);
    flow(width, (count) => 100 * count, { forMs: 1_000 });
    expect([0, 1].map((running) => width.isTrial(running))).toEqual([false, true]);
    flow(width, (count) => 100 * count, { forMs: 1_000, fromMs: 1_010 });
    expect([1, 2, 3].map((running) => width.isTrial(running))).toEqual([false, true, true]);
    flow(width, (count) => 100 * count, { fromMs: 2_020 });
    expect([1, 2, 3].map((running) => width.isTrial(running))).toEqual([false, false, false]);
  });
});

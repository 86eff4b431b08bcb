import { describe, expect, it } from '@jest/globals';
import { EventWheel } from './event-wheel.ts';
import { LinkShares } from './link-shares.ts';
import { seededRandom } from './random.ts';

/** Runs the transfers that were started to their ends. @returns the tick of each end */
function run(shares: LinkShares, ends: EventWheel, count: number): number[] {
  const endTicks = new Array<number>(count).fill(NaN);
  for (let tick = 0, over = 0; over < count; tick++) {
    for (let transfer = ends.take(tick); transfer >= 0; transfer = ends.take(tick)) {
      shares.stop(transfer, tick);
      endTicks[transfer] = tick;
      over++;
    }
  }
  return endTicks;
}

describe('LinkShares', () => {
  it('gives a transfer that is alone the slower of its two links', () => {
    const ends = new EventWheel(2);
    const shares = new LinkShares({ up: Float64Array.of(10, 5), down: Float64Array.of(10, 2) }, 2, ends);
    shares.start(0, 0, 1, 1000, 0);
    expect(run(shares, ends, 1)).toEqual([500]);
    expect(shares.uploadUse(0)).toBe(0);
  });

  it('gives what one transfer cannot use to the others on the link', () => {
    const ends = new EventWheel(2);
    const shares = new LinkShares({ up: Float64Array.of(10, 1, 1), down: Float64Array.of(1, 2, 100) }, 2, ends);
    shares.start(0, 0, 1, 2000, 0);
    shares.start(1, 0, 2, 8000, 0);
    expect(shares.uploadUse(0)).toBeCloseTo(1);
    expect(run(shares, ends, 2)).toEqual([1000, 1000]);
  });

  it('tells when so much is left, and then of the end', () => {
    const ends = new EventWheel(1);
    const shares = new LinkShares({ up: Float64Array.of(10, 10), down: Float64Array.of(10, 10) }, 1, ends);
    shares.start(0, 0, 1, 1000, 0, 200);
    let tick = 0;
    while (ends.take(tick) < 0) tick++;
    expect(tick).toBe(80);
    shares.pass(0, tick);
    while (ends.take(tick) < 0) tick++;
    expect(tick).toBe(100);
  });

  it('lets no host send or receive more than its links carry, however transfers come and go', () => {
    const random = seededRandom(1);
    const hosts = 30;
    const ends = new EventWheel(400);
    const capacity = (): Float64Array => Float64Array.from({ length: hosts }, () => 5 + random() * 10);
    const [up, down] = [capacity(), capacity()];
    const shares = new LinkShares({ up, down }, 400, ends);
    const sent = new Float64Array(hosts);
    const got = new Float64Array(hosts);
    const lastTick = new Float64Array(hosts);
    const pairs: (readonly [number, number])[] = [];
    let started = 0;
    let over = 0;
    for (let tick = 0; over < 400; tick++) {
      for (let transfer = ends.take(tick); transfer >= 0; transfer = ends.take(tick)) {
        shares.stop(transfer, tick);
        const [from, to] = pairs[transfer] ?? [0, 0];
        sent[from] = (sent[from] ?? 0) + 1000;
        got[to] = (got[to] ?? 0) + 1000;
        lastTick[from] = lastTick[to] = tick;
        over++;
      }
      if (tick % 3 === 0 && started < 400) {
        const from = Math.floor(random() * hosts);
        const to = (from + 1 + Math.floor(random() * (hosts - 1))) % hosts;
        pairs.push([from, to]);
        shares.start(started++, from, to, 1000, tick);
      }
    }
    for (let host = 0; host < hosts; host++) {
      expect(sent[host]).toBeLessThan((lastTick[host] ?? 0) * (up[host] ?? 0) * 1.03);
      expect(got[host]).toBeLessThan((lastTick[host] ?? 0) * (down[host] ?? 0) * 1.03);
    }
  });
});

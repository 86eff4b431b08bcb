import { Rounds } from './rounds.ts';

const tableOf = (count: number): Map<string, number> =>
  new Map(Array.from({ length: count }, (_, index) => [String(index), index]));

describe('rounds through a table', () => {
  it('begin an interval apart, and see every entry once each', () => {
    const seen: number[] = [];
    const rounds = new Rounds(tableOf(3), 1_000);
    for (const nowMs of [1_000, 1_999, 2_000, 2_100, 2_999]) rounds.go(nowMs, 1_000, (entry) => seen.push(entry));
    expect(seen).toEqual([0, 1, 2]);
    rounds.go(3_000, 1_000, (entry) => seen.push(entry));
    expect(seen).toEqual([0, 1, 2, 0, 1, 2]);
  });

  it('take a large table a part at a time, however long the interval is', () => {
    const seen = new Set<number>();
    const rounds = new Rounds(tableOf(20_000), 0);
    const parts: number[] = [];
    for (let nowMs = 60_000; parts.length < 100 && seen.size < 20_000; nowMs++) {
      const before = seen.size;
      rounds.go(nowMs, 60_000, (entry) => seen.add(entry));
      parts.push(seen.size - before);
    }
    expect(parts.length).toBeGreaterThan(2);
    expect(Math.max(...parts)).toBeLessThan(10_000);
  });

  it('go on when entries are taken out and put in meanwhile', () => {
    const table = tableOf(10_000);
    const seen: number[] = [];
    const rounds = new Rounds(table, 0);
    const go = (nowMs: number) =>
      rounds.go(nowMs, 1_000, (entry) => {
        seen.push(entry);
        table.delete(String(entry));
        table.delete(String(entry + 1));
        if (entry === 0) table.set('20000', 20_000);
      });
    for (let nowMs = 1_000; nowMs < 1_010; nowMs++) go(nowMs);
    expect(seen).toEqual([...Array.from({ length: 5_000 }, (_, index) => 2 * index), 20_000]);
  });
});

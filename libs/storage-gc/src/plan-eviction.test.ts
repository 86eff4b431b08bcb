import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { planEviction, planRelief, type EvictableTask } from './plan-eviction.ts';
import { createEvictionPolicy } from './policy.ts';
import { type DiskUsage, watermarks } from './watermarks.ts';

const NOW = 1_000_000;
const POLICY = createEvictionPolicy({
  ...{ taskTtlMs: 10_000, unfinishedIdleMs: 1000, highWatermarkPercent: 80, lowWatermarkPercent: 60 },
});

/** A complete task of 100 bytes, used a moment ago by somebody who has gone. */
const task = (taskId: string, rest: Partial<EvictableTask> & { idleMs?: number } = {}): EvictableTask => {
  const { idleMs = 1, ...facts } = rest;
  return { taskId, bytes: 100, usedAtMs: NOW - idleMs, readers: 0, isComplete: true, isPinned: false, ...facts };
};
/** A disk of 1000 bytes. */
const disk = (usedBytes: number): DiskUsage => ({ totalBytes: 1000, availableBytes: 1000 - usedBytes });
const summary = (...args: Parameters<typeof planEviction>): string[] =>
  planEviction(...args).map(({ taskId, reason }) => `${taskId} ${reason}`);

describe('planEviction', () => {
  it('leaves everything alone below the high watermark', () => {
    expect(summary([task('a', { idleMs: 9999 }), task('b')], disk(799), POLICY, NOW)).toEqual([]);
  });

  it('removes what nobody used for the whole time to live', () => {
    const tasks = [task('fresh', { idleMs: 9999 }), task('old', { idleMs: 10_000 }), task('older', { idleMs: 20_000 })];
    expect(summary(tasks, disk(0), POLICY, NOW)).toEqual(['older expired', 'old expired']);
  });

  it('weakness 38: goes from the high watermark down to the low one, least recently used first', () => {
    const tasks = [
      task('c', { idleMs: 1 }),
      task('a', { idleMs: 3 }),
      task('b', { idleMs: 2 }),
      task('d', { idleMs: 0 }),
    ];
    expect(summary(tasks, disk(800), POLICY, NOW)).toEqual(['a watermark', 'b watermark']);
    expect(summary(tasks, disk(801), POLICY, NOW)).toEqual(['a watermark', 'b watermark', 'c watermark']);
  });

  it('counts what expired before it looks at the watermark', () => {
    const tasks = [task('old', { idleMs: 10_000 }), task('new')];
    expect(summary(tasks, disk(850), POLICY, NOW)).toEqual(['old expired']);
  });

  it('counts from the threshold instead of the disk where there is one', () => {
    const tasks = ['a', 'b', 'c', 'd'].map((taskId, index) => task(taskId, { idleMs: 10 - index }));
    const policy = { ...POLICY, capacityBytes: 500 };
    expect(summary(tasks, disk(990), policy, NOW)).toEqual(['a watermark']);
    expect(summary(tasks.slice(1), disk(990), policy, NOW)).toEqual([]);
  });

  it('shrinks to the low share of the threshold once tasks have come to it, below every watermark', () => {
    const tasks = ['a', 'b', 'c', 'd', 'e'].map((taskId, index) => task(taskId, { idleMs: 10 - index }));
    const policy = { ...POLICY, thresholdBytes: 500 };
    expect(summary(tasks, disk(510), policy, NOW)).toEqual(['a threshold', 'b threshold']);
    expect(summary(tasks.slice(1), disk(510), policy, NOW)).toEqual([]);
  });

  it('heeds watermark and threshold together, whichever is reached', () => {
    const tasks = ['a', 'b', 'c', 'd', 'e'].map((taskId, index) => task(taskId, { idleMs: 10 - index }));
    const policy = { ...POLICY, thresholdBytes: 500 };
    // 300 bytes of others: the disk wants 600 in use, the threshold 300 of ours.
    expect(summary(tasks, disk(800), policy, NOW)).toEqual(['a watermark', 'b watermark']);
    expect(summary(tasks, disk(800), { ...policy, lowWatermarkPercent: 40 }, NOW)).toEqual([
      'a watermark',
      'b watermark',
      'c watermark',
      'd watermark',
    ]);
    expect(summary(tasks, disk(500), { ...policy, capacityBytes: 10_000 }, NOW)).toEqual([
      'a threshold',
      'b threshold',
    ]);
  });

  it('keeps a floor where others fill the disk, so that they do not cost all of the cache', () => {
    const tasks = Array.from({ length: 16 }, (_, index) =>
      task(String.fromCharCode(97 + index), { bytes: 10, idleMs: 100 - index }),
    );
    // Others have 820 of 1000, above the high mark by themselves: 180 are left, and 45 of those stay ours.
    const victims = planEviction(tasks, disk(980), POLICY, NOW);
    expect(victims).toHaveLength(12);
    const left = tasks.slice(12);
    expect(planEviction(left, disk(860), POLICY, NOW)).toEqual([]);
    expect(planEviction(left, disk(1000), POLICY, NOW)).toHaveLength(3);
    expect(planEviction([task('last', { bytes: 1 })], { totalBytes: 1000, availableBytes: 3 }, POLICY, NOW)).toEqual(
      [],
    );
  });

  it('never names what is pinned, whatever the reason', () => {
    const tasks = [task('pinned', { isPinned: true, idleMs: 99_999 }), task('other')];
    const policy = { ...POLICY, thresholdBytes: 1 };
    expect(summary(tasks, disk(1000), policy, NOW, 1)).toEqual(['other watermark']);
    expect(planRelief(tasks, policy, NOW, 1, 500).map(({ taskId }) => taskId)).toEqual(['other']);
  });

  it('spares tasks with readers, also when they are expired or the disk is full', () => {
    expect(summary([task('read', { readers: 1, idleMs: 99_999 })], disk(1000), POLICY, NOW, 500)).toEqual([]);
  });

  it('spares unfinished tasks until they have been idle', () => {
    const tasks = [
      task('given up', { isComplete: false, idleMs: 1000 }),
      task('under way', { isComplete: false, idleMs: 999 }),
    ];
    expect(summary(tasks, disk(1000), POLICY, NOW)).toEqual(['given up watermark']);
  });

  it('makes room for a new task, and no more than that', () => {
    const tasks = [task('a', { idleMs: 3 }), task('b', { idleMs: 2 }), task('c', { idleMs: 1 })];
    expect(summary(tasks, disk(790), POLICY, NOW, 210)).toEqual([]);
    expect(summary(tasks, disk(790), POLICY, NOW, 211)).toEqual(['a admission']);
    expect(summary(tasks, disk(790), POLICY, NOW, 410)).toEqual(['a admission', 'b admission']);
  });

  it('makes room within the threshold as well as on the disk', () => {
    const tasks = [task('a', { idleMs: 2 }), task('b')];
    const policy = { ...POLICY, capacityBytes: 400 };
    expect(summary(tasks, disk(200), policy, NOW, 300)).toEqual(['a admission']);
    expect(summary(tasks, disk(900), policy, NOW, 300)).toEqual(['a admission', 'b admission']);
  });

  it('keeps the cache when the new task would not fit even without it', () => {
    expect(summary([task('a'), task('b')], disk(790), POLICY, NOW, 411)).toEqual([]);
  });

  it('does not mind a clock that was set back', () => {
    expect(summary([task('a', { usedAtMs: NOW + 50_000 })], disk(100), POLICY, NOW)).toEqual([]);
  });
});

const anyTask = fc.record({
  bytes: fc.nat(300),
  usedAtMs: fc.oneof(fc.integer({ min: NOW - 15_000, max: NOW + 10 }), fc.constant(NOW - 500)),
  readers: fc.oneof(fc.constant(0), fc.nat(2)),
  isComplete: fc.boolean(),
  isPinned: fc.boolean(),
});
const scene = fc
  .record({
    tasks: fc.array(anyTask, { maxLength: 12 }),
    foreignBytes: fc.nat(2000),
    spareBytes: fc.nat(3000),
    capacityBytes: fc.option(fc.integer({ min: 1, max: 3000 }), { nil: undefined }),
    thresholdBytes: fc.option(fc.integer({ min: 1, max: 3000 }), { nil: undefined }),
    wantedBytes: fc.oneof(fc.constant(0), fc.nat(3000)),
    high: fc.integer({ min: 1, max: 100 }),
    low: fc.nat(99),
  })
  .filter(({ high, low }) => low < high)
  .map(({ tasks, foreignBytes, spareBytes, capacityBytes, thresholdBytes, wantedBytes, high, low }) => {
    const named = tasks.map((facts, index) => ({ taskId: String(index), ...facts }));
    const taskBytes = named.reduce((sum, { bytes }) => sum + bytes, 0);
    const usage = { totalBytes: taskBytes + foreignBytes + spareBytes, availableBytes: spareBytes };
    const marks = { highWatermarkPercent: high, lowWatermarkPercent: low };
    const policy = { ...POLICY, ...marks, capacityBytes, thresholdBytes };
    return { tasks: named, taskBytes, usage, policy, wantedBytes };
  });

describe('any plan', () => {
  it('names tasks that may go, each once, and all that expired', () => {
    fc.assert(
      fc.property(scene, ({ tasks, usage, policy, wantedBytes }) => {
        const victims = planEviction(tasks, usage, policy, NOW, wantedBytes);
        const ids = victims.map(({ taskId }) => taskId);
        expect(new Set(ids).size).toBe(ids.length);
        const mayGo = tasks.filter(
          ({ readers, isComplete, isPinned, usedAtMs }) =>
            !isPinned && readers === 0 && (isComplete || NOW - usedAtMs >= 1000),
        );
        expect(mayGo.map(({ taskId }) => taskId)).toEqual(expect.arrayContaining(ids));
        const expired = mayGo.filter(({ usedAtMs }) => NOW - usedAtMs >= 10_000).map(({ taskId }) => taskId);
        expect(ids.slice(0, expired.length).sort()).toEqual(expired.sort());
        expect(victims.filter(({ reason }) => reason === 'expired')).toHaveLength(expired.length);
      }),
    );
  });

  it('takes the least recently used first and passes over none', () => {
    fc.assert(
      fc.property(scene, ({ tasks, usage, policy, wantedBytes }) => {
        const ids = planEviction(tasks, usage, policy, NOW, wantedBytes).map(({ taskId }) => taskId);
        const usedAt = (taskId: string): number => tasks[Number(taskId)]?.usedAtMs ?? NaN;
        expect(ids.map(usedAt)).toEqual(ids.map(usedAt).sort((a, b) => a - b));
        const last = ids.at(-1);
        for (const { taskId, usedAtMs, readers, isComplete, isPinned } of tasks) {
          if (last === undefined || readers > 0 || isPinned || !isComplete || ids.includes(taskId)) continue;
          expect(usedAtMs).toBeGreaterThanOrEqual(usedAt(last));
        }
      }),
    );
  });

  it('is as long as its goals demand, and no longer', () => {
    fc.assert(
      fc.property(scene, ({ tasks, taskBytes, usage, policy, wantedBytes }) => {
        const victims = planEviction(tasks, usage, policy, NOW, wantedBytes);
        const { capacityBytes, marks } = watermarks(policy, usage, taskBytes);
        const free = Math.min(usage.availableBytes, capacityBytes - taskBytes);
        let freed = 0;
        for (const [index, { reason, bytes }] of victims.entries()) {
          const isFirstOfItsKind = victims[index - 1]?.reason !== reason;
          const mark = marks.find((one) => one.reason === reason);
          if (mark !== undefined) {
            if (isFirstOfItsKind) expect(taskBytes - freed).toBeGreaterThanOrEqual(mark.highBytes);
            expect(taskBytes - freed).toBeGreaterThan(mark.lowBytes);
          }
          if (reason === 'admission') expect(free + freed).toBeLessThan(wantedBytes);
          freed += bytes;
        }
        if (victims.some(({ reason }) => reason === 'admission')) {
          expect(free + freed).toBeGreaterThanOrEqual(wantedBytes);
        }
      }),
    );
  });

  it('is the same again, whatever the order of the tasks', () => {
    fc.assert(
      fc.property(scene, ({ tasks, usage, policy, wantedBytes }) => {
        const plan = planEviction(tasks, usage, policy, NOW, wantedBytes);
        expect(planEviction([...tasks].reverse(), usage, policy, NOW, wantedBytes)).toEqual(plan);
      }),
    );
  });

  it('leaves nothing to do once it is carried out', () => {
    fc.assert(
      fc.property(scene, ({ tasks, usage, policy }) => {
        const victims = planEviction(tasks, usage, policy, NOW);
        const gone = new Set(victims.map(({ taskId }) => taskId));
        const freed = victims.reduce((sum, { bytes }) => sum + bytes, 0);
        const left = tasks.filter(({ taskId }) => !gone.has(taskId));
        const after = { ...usage, availableBytes: usage.availableBytes + freed };
        expect(planEviction(left, after, policy, NOW)).toEqual([]);
      }),
    );
  });
});

describe('planRelief', () => {
  it('makes room for writes the disk refused, least recently used first, as far as it goes', () => {
    const tasks = [
      task('c', { idleMs: 1 }),
      task('a', { idleMs: 3 }),
      task('read', { readers: 1 }),
      task('b', { idleMs: 2 }),
    ];
    const relief = (needed: number, wanted: number): string[] =>
      planRelief(tasks, POLICY, NOW, needed, wanted).map(({ taskId, reason }) => `${taskId} ${reason}`);
    expect(relief(1, 1)).toEqual(['a diskFull']);
    expect(relief(1, 150)).toEqual(['a diskFull', 'b diskFull']);
    expect(relief(1, 5000)).toEqual(['a diskFull', 'b diskFull', 'c diskFull']);
  });

  it('takes nothing when the write would find no room even so, and nothing that frees nothing', () => {
    expect(planRelief([task('a'), task('b')], POLICY, NOW, 201, 500)).toEqual([]);
    expect(planRelief([task('empty', { bytes: 0, idleMs: 9 }), task('a')], POLICY, NOW, 1, 100)).toMatchObject([
      { taskId: 'a' },
    ]);
  });
});

import { rm, symlink } from 'node:fs/promises';
import { describe, expect, it } from '@jest/globals';
import { NoSpaceError } from '@d7y/peer-engine';
import { completeTask, newTask, pattern, pieceRecord, taskIdNumber, writePiece } from '@d7y/peer-engine/conformance';
import { openTestStore, scratchDirectory } from './_store-under-test.ts';
import type { PieceStoreOptions } from './open-piece-store.ts';
import type { PieceStore } from './piece-store.ts';
import { storePaths, taskPath } from './store-paths.ts';

/** Room for three tasks of 10000 bytes and no more: only admission evicts. */
const ROOM_FOR_THREE = { capacityBytes: 30_500, highWatermarkPercent: 100, lowWatermarkPercent: 99 };
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** A store with a clock that a test sets, and a note of what was evicted. */
async function setUp(options: Partial<PieceStoreOptions> = {}) {
  const directory = await scratchDirectory();
  const at = { ms: 1_700_000_000_000 };
  const evicted: number[] = [];
  const open = (): Promise<PieceStore> =>
    openTestStore(directory.path, {
      clock: () => at.ms,
      onEvict: (taskId) => evicted.push(Number.parseInt(taskId, 16)),
      ...options,
    });
  return { at, evicted, open, path: directory.path, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

const numbersOf = (store: PieceStore): number[] => [...store.list()].map(({ taskId }) => Number.parseInt(taskId, 16));

/** Waits for what nobody is told of. */
async function until(isSo: () => boolean): Promise<void> {
  for (const giveUpAtMs = Date.now() + 20_000; !isSo() && Date.now() < giveUpAtMs;) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(isSo()).toBe(true);
}

describe('eviction', () => {
  it('happens as soon as tasks have come to the threshold, without waiting for the timer', async () => {
    await using setup = await setUp({ policy: { thresholdBytes: 50_000, lowWatermarkPercent: 60 } });
    await using store = await setup.open();
    for (let n = 1; n <= 5; n++) {
      setup.at.ms += 1000;
      await completeTask(store, n, 10_000);
    }
    await until(() => setup.evicted.length >= 2);
    expect(setup.evicted).toEqual([1, 2]);
    expect(numbersOf(store)).toEqual([3, 4, 5]);
  });

  it('happens as soon as the disk is above its high watermark', async () => {
    const disk = { totalBytes: 100_000, availableBytes: 50_000 };
    await using setup = await setUp({ measureDisk: () => Promise.resolve(disk) });
    await using store = await setup.open();
    await completeTask(store, 1, 10_000);
    setup.at.ms += 1000;
    disk.availableBytes = 15_000;
    await completeTask(store, 2, 10_000);
    await until(() => setup.evicted.length > 0);
    expect(setup.evicted).toEqual([1]);
  });

  it('weakness 38: spares what was uploaded a moment ago, and what is being uploaded', async () => {
    await using setup = await setUp({ policy: ROOM_FOR_THREE });
    await using store = await setup.open();
    const [uploading, uploaded] = [await completeTask(store, 1, 10_000), await completeTask(store, 2, 10_000)];
    using _upload = uploading.retain();
    setup.at.ms += 1000;
    await completeTask(store, 3, 10_000);
    setup.at.ms += 1000;
    uploaded.retain()[Symbol.dispose]();
    await store.create(newTask(4, 10_000));
    expect(setup.evicted).toEqual([3]);
  });

  it('goes by what was used last also after a restart, and spares what is pinned', async () => {
    await using setup = await setUp({ policy: { ...ROOM_FOR_THREE, capacityBytes: 40_500 } });
    {
      await using store = await setup.open();
      for (const n of [1, 2, 3, 4]) await completeTask(store, n, 10_000);
      await store.get(taskIdNumber(2))?.setPinned(true);
      setup.at.ms += 5_000; // nearer to the creation than what is noted at once
      store.get(taskIdNumber(1))?.retain()[Symbol.dispose]();
      setup.at.ms += 1_000;
      store.get(taskIdNumber(4))?.retain()[Symbol.dispose]();
    }
    await using store = await setup.open();
    await store.create(newTask(5, 20_000));
    expect(setup.evicted).toEqual([3, 1]);
    expect(store.get(taskIdNumber(2))?.isPinned).toBe(true);
  });
});

describe('a reservation', () => {
  const policy = { capacityBytes: 20_000, highWatermarkPercent: 100 };

  it('ends with the download, whether it succeeds or not', async () => {
    await using setup = await setUp({ policy });
    await using store = await setup.open();
    const task = await store.create(newTask(1, 15_000));
    const download = task.retain();
    await expect(store.create(newTask(2, 10_000))).rejects.toThrow(NoSpaceError);
    await writePiece(task, 0);
    expect(await store.usage()).toMatchObject({ usedBytes: 4096, reservedBytes: 15_000 - 4096 });
    download[Symbol.dispose]();
    expect(await store.usage()).toMatchObject({ usedBytes: 4096, reservedBytes: 0 });
    await expect(store.create(newTask(2, 10_000))).resolves.toBeDefined();
  });

  it('counts no byte twice that is recorded while room is being made for another task', async () => {
    const disk = { totalBytes: 1e9, availableBytes: 1e9 };
    let onMeasured = (): void => undefined;
    await using setup = await setUp({
      policy: { capacityBytes: 30_000, highWatermarkPercent: 100, lowWatermarkPercent: 99 },
      measureDisk: () => {
        onMeasured();
        return Promise.resolve(disk);
      },
    });
    await using store = await setup.open();
    await completeTask(store, 1, 8_000);
    const growing = await store.create(newTask(2, 20_000));
    using _download = growing.retain();
    let measured = 0;
    onMeasured = () => {
      if (++measured !== 2) return;
      const piece = pieceRecord(growing, 0, pattern(0, 4096));
      growing.recordPiece(piece);
    };
    await expect(store.create(newTask(3, 10_000))).resolves.toBeDefined();
    expect(setup.evicted).toEqual([1]);
  });

  it('is made again when a download goes on that was broken off', async () => {
    await using setup = await setUp({ policy });
    await using store = await setup.open();
    const task = await store.create(newTask(1, 15_000));
    await writePiece(task, 0);
    task.retain()[Symbol.dispose]();
    using _other = (await store.create(newTask(2, 10_000))).retain();
    await expect(store.create(task)).rejects.toThrow(NoSpaceError);
    await store.delete(taskIdNumber(2));
    expect(await store.create(task)).toBe(task);
    expect(await store.usage()).toMatchObject({ reservedBytes: 15_000 - 4096 });
  });
});

describe('a write that finds the disk full', () => {
  /** Each writes to a disk that has no room for the first write. */
  async function fullDisk(setup: Awaited<ReturnType<typeof setUp>>, store: PieceStore) {
    const task = await store.create(newTask(9, 10_000));
    const path = taskPath(storePaths(setup.path), task.taskId);
    // /dev/full answers every write with ENOSPC.
    await rm(path);
    await symlink('/dev/full', path);
    return { task, path };
  }

  it('weakness 38: evicts the least recently used as far as the download needs, and is tried once more', async () => {
    await using setup = await setUp();
    await using store = await setup.open();
    for (const n of [1, 2, 3]) {
      await completeTask(store, n, 8_000);
      setup.at.ms += 1000;
    }
    const { task } = await fullDisk(setup, store);
    const written = Promise.all([task.write(0, [new Uint8Array(10)]), task.write(10, [new Uint8Array(10)])]);
    // The disk is as full as before.
    await expect(written).rejects.toThrow(NoSpaceError);
    expect(setup.evicted).toEqual([1, 2]);
  });

  it('evicts nothing for a download that could not end even so', async () => {
    await using setup = await setUp();
    await using store = await setup.open();
    await completeTask(store, 1, 8_000);
    const { task } = await fullDisk(setup, store);
    await expect(task.write(0, [new Uint8Array(10)])).rejects.toThrow(NoSpaceError);
    expect(setup.evicted).toEqual([]);
  });
});

describe('a clock that is set', () => {
  it.each([
    ['ten years on', 3650 * DAY_MS],
    ['two days on', 2 * DAY_MS],
    ['ten years back', -3650 * DAY_MS],
    ['to 1970, where those without a battery begin', -1_700_000_000_000 + 10 * HOUR_MS],
  ])('between two runs, %s, ages no task and does not change who goes first', async (_, jumpMs) => {
    await using setup = await setUp({
      policy: { ...ROOM_FOR_THREE, taskTtlMs: DAY_MS },
    });
    {
      await using store = await setup.open();
      for (const n of [1, 2, 3]) {
        await completeTask(store, n, 10_000);
        setup.at.ms += HOUR_MS;
      }
    }
    setup.at.ms += jumpMs;
    await using store = await setup.open();
    expect(await store.collectGarbage()).toEqual([]);
    await store.create(newTask(4, 10_000));
    expect(setup.evicted).toEqual([1]);
    // Their ages count from where they stood: 2 and 1 hours.
    setup.at.ms += 23 * HOUR_MS;
    await store.collectGarbage();
    expect(setup.evicted).toEqual([1, 2, 3]);
  });

  it('does not touch a store that is open', async () => {
    await using directory = await scratchDirectory();
    await using store = await openTestStore(directory.path, { policy: { taskTtlMs: DAY_MS } });
    await completeTask(store, 1, 10_000);
    const systemClock = Date.now.bind(Date);
    Date.now = () => systemClock() + 3650 * DAY_MS;
    try {
      expect(await store.collectGarbage()).toEqual([]);
    } finally {
      Date.now = systemClock;
    }
  });
});

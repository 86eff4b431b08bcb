import { readdirSync, readlinkSync, writeSync } from 'node:fs';
import { readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { NoSpaceError } from '@d7y/peer-engine';
import { createLayout } from '@d7y/piece';
import {
  completeTask,
  describeTaskStore,
  newTask,
  pattern,
  readAll,
  taskIdNumber,
  writePiece,
} from '@d7y/peer-engine/conformance';
import type { DiskTask } from './disk-task.ts';
import { openTestStore, scratchDirectory } from './_store-under-test.ts';
import { storePaths, taskPath } from './store-paths.ts';

const MINUTE_MS = 60_000;

describeTaskStore('PieceStore', async ({ capacityBytes }) => {
  const directory = await scratchDirectory();
  const store = await openTestStore(directory.path, {
    policy: { capacityBytes, highWatermarkPercent: 100 },
  });
  return {
    store,
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
});

describe('PieceStore', () => {
  it('keeps each task in a sparse file of its own length', async () => {
    await using directory = await scratchDirectory();
    await using store = await openTestStore(directory.path);
    const task = await store.create({ ...newTask(1, 0), layout: createLayout(64 * 2 ** 20) });
    const file = await stat(taskPath(storePaths(directory.path), task.taskId));
    expect(file.size).toBe(64 * 2 ** 20);
    expect(file.blocks * 512).toBeLessThan(2 ** 20);
    expect(file.mode & 0o077).toBe(0);
  });

  it('refuses an id that would lead out of its directory', async () => {
    await using directory = await scratchDirectory();
    await using store = await openTestStore(directory.path);
    await expect(store.create({ ...newTask(1, 10), taskId: '../../../../etc/passwd' })).rejects.toThrow(RangeError);
  });

  it('lends the open file to another thread, and keeps it open until it is given back', async () => {
    await using directory = await scratchDirectory();
    await using store = await openTestStore(directory.path, { maxOpenFiles: 1 });
    const task = await store.create(newTask(1, 10_000));
    const other = await store.create(newTask(2, 10_000));
    using file = await (task as DiskTask).openFile();
    await writePiece(other, 0);
    await other.read(0, Buffer.alloc(10));
    writeSync(file.fd, pattern(1, 4_096), 0, 4_096, 4_096);
    expect(await readAll(task, 4_096, 4_096)).toEqual(pattern(1, 4_096));
    const failure = (code: string) => Object.assign(new Error('write failed'), { code });
    await expect(file.recover(failure('ENOSPC'))).rejects.toThrow(NoSpaceError);
    await expect(file.recover(failure('EIO'))).rejects.toMatchObject({ code: 'EIO' });
  });

  it('gives everything back after it was closed and opened', async () => {
    await using directory = await scratchDirectory();
    let clock = 1_000;
    const before = await openTestStore(directory.path, { clock: () => clock });
    const task = await before.create({ ...newTask(1, 10_000), digest: `sha256:${taskIdNumber(9)}`, isPrivate: true });
    await writePiece(task, 0);
    await writePiece(task, 2);
    clock = 5_000;
    task.retain()[Symbol.dispose]();
    const complete = await completeTask(before, 2, 5_000);
    const pieces = [task.piece(0), task.piece(2)];
    await before[Symbol.asyncDispose]();

    await using after = await openTestStore(directory.path, { clock: () => clock });
    const found = after.get(task.taskId);
    expect(found).toMatchObject({
      ...newTask(1, 10_000),
      digest: `sha256:${taskIdNumber(9)}`,
      isPrivate: true,
      createdAtMs: 1_000,
      usedAtMs: 5_000,
      isComplete: false,
    });
    expect([...(found?.finishedPieces ?? [])]).toEqual([0, 2]);
    expect([found?.piece(0), found?.piece(2)]).toEqual(pieces);
    expect(found && (await readAll(found, 8_192, 1_808))).toEqual(pattern(2, 1_808));
    expect(after.get(complete.taskId)?.isComplete).toBe(true);
  });

  it('forgets records it can read back, and reads them back', async () => {
    await using directory = await scratchDirectory();
    await using store = await openTestStore(directory.path);
    const task = await completeTask(store, 1, 10_000);
    const pieces = [0, 1, 2].map((number) => task.piece(number));
    task.retain()[Symbol.dispose]();
    task.discardPieces([1]); // flushes what waits
    expect([0, 1, 2].map((number) => task.piece(number))).toEqual([pieces[0], undefined, pieces[2]]);
  });

  it('forgets everything without keep, and nothing beside its own folders', async () => {
    await using directory = await scratchDirectory();
    const before = await openTestStore(directory.path);
    await completeTask(before, 1, 10_000);
    await before[Symbol.asyncDispose]();
    await writeFile(join(directory.path, 'of-somebody-else'), '');
    await using after = await openTestStore(directory.path, { keep: false });
    expect([...after.list()]).toEqual([]);
    const { tasks } = storePaths(directory.path);
    expect(await readdir(tasks)).toEqual([]);
    expect(await readdir(directory.path)).toContain('of-somebody-else');
  });

  it('closes no file in use, and few stay open', async () => {
    await using directory = await scratchDirectory();
    await using store = await openTestStore(directory.path, { maxOpenFiles: 2 });
    const tasks = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => store.create(newTask(n, 40_000))));
    const bytes = tasks.map((_, n) => pattern(n, 40_000));
    await Promise.all(tasks.map((task, n) => task.write(0, [bytes[n] ?? new Uint8Array()])));
    const read = await Promise.all(tasks.map((task) => readAll(task, 0, 40_000)));
    expect(read).toEqual(bytes);
    const open = readdirSync('/proc/self/fd').flatMap((name) => {
      try {
        return [readlinkSync(`/proc/self/fd/${name}`)];
      } catch {
        return []; // the descriptor of this very listing
      }
    });
    const { tasks: folder } = storePaths(directory.path);
    expect(open.filter((path) => path.startsWith(folder)).length).toBeLessThanOrEqual(2);
  });

  it('says disk full, and where, when a write finds no room', async () => {
    await using directory = await scratchDirectory();
    await using store = await openTestStore(directory.path);
    const task = await store.create(newTask(1, 10_000));
    const path = taskPath(storePaths(directory.path), task.taskId);
    // /dev/full answers every write with ENOSPC.
    await rm(path);
    await symlink('/dev/full', path);
    const written = task.write(0, [new Uint8Array(10)]);
    await expect(written).rejects.toThrow(NoSpaceError);
    await expect(written).rejects.toThrow(path);
    expect(task.finishedPieces.size).toBe(0);
  });

  it('admits no more than the file system has', async () => {
    await using directory = await scratchDirectory();
    const disk = { availableBytes: 10_000, totalBytes: 1e9 };
    await using store = await openTestStore(directory.path, {
      measureDisk: () => Promise.resolve(disk),
      policy: { highWatermarkPercent: 100 },
    });
    await expect(store.create(newTask(1, 10_001))).rejects.toThrow(/10001 bytes wanted, 10000 free/);
    await expect(store.create(newTask(2, 6_000))).resolves.toBeDefined();
    await expect(store.create(newTask(3, 6_000))).rejects.toThrow(NoSpaceError);
  });

  it('gives the reservation of an abandoned task to others', async () => {
    await using directory = await scratchDirectory();
    let clock = 0;
    await using store = await openTestStore(directory.path, {
      clock: () => clock,
      policy: { capacityBytes: 10_000, highWatermarkPercent: 100 },
    });
    await store.create(newTask(1, 10_000));
    expect(await store.usage()).toMatchObject({ taskCount: 1, usedBytes: 0, reservedBytes: 10_000, freeBytes: 0 });
    clock = 2 * MINUTE_MS;
    expect(await store.usage()).toMatchObject({ reservedBytes: 0, freeBytes: 10_000 });
    await expect(store.create(newTask(2, 10_000))).resolves.toBeDefined();
  });

  it('weakness 39: lets two tasks in at once only when both fit', async () => {
    await using directory = await scratchDirectory();
    await using store = await openTestStore(directory.path, {
      policy: { capacityBytes: 10_000, highWatermarkPercent: 100 },
    });
    const results = await Promise.allSettled([store.create(newTask(1, 6_000)), store.create(newTask(2, 6_000))]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('creates one task when it is asked for it twice at once', async () => {
    await using directory = await scratchDirectory();
    await using store = await openTestStore(directory.path);
    const [first, second] = await Promise.all([store.create(newTask(1, 6_000)), store.create(newTask(1, 6_000))]);
    expect(first).toBe(second);
  });

  it('collects what nobody used for long, and tells of it', async () => {
    await using directory = await scratchDirectory();
    let clock = 0;
    const evicted: string[] = [];
    await using store = await openTestStore(directory.path, {
      clock: () => clock,
      policy: { taskTtlMs: 10 * MINUTE_MS },
      onEvict: (taskId) => evicted.push(taskId),
    });
    const old = await completeTask(store, 1, 5_000);
    const busy = await completeTask(store, 2, 5_000);
    using _retained = busy.retain();
    clock = 6 * MINUTE_MS;
    const young = await completeTask(store, 3, 5_000);
    clock = 11 * MINUTE_MS;
    expect(await store.collectGarbage()).toEqual([old.taskId]);
    expect(evicted).toEqual([old.taskId]);
    expect([...store.list()].map(({ taskId }) => taskId)).toEqual([busy.taskId, young.taskId]);
    expect(await readdir(join(storePaths(directory.path).tasks, '000'))).toEqual([busy.taskId, young.taskId]);
  });

  it('refuses work once it is closed', async () => {
    await using directory = await scratchDirectory();
    const store = await openTestStore(directory.path);
    const task = await store.create(newTask(1, 5_000));
    const retained = task.retain();
    await Promise.all([store[Symbol.asyncDispose](), store[Symbol.asyncDispose]()]);
    await expect(store.create(newTask(2, 5_000))).rejects.toThrow('is closed');
    await expect(task.read(0, new Uint8Array(1))).rejects.toThrow();
    expect(() => retained[Symbol.dispose]()).not.toThrow();
  });
});

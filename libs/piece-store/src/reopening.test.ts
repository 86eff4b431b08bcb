import { existsSync } from 'node:fs';
import { mkdir, open, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import { completeTask, newTask, readAll, taskIdNumber } from '@d7y/peer-engine/conformance';
import { LogLines, openTestStore, scratchDirectory } from './_store-under-test.ts';
import { storePaths, taskPath } from './store-paths.ts';

/** Leaves a directory with complete tasks 1 to 3, each of 10000 bytes, cleanly closed. */
async function leaveThreeTasks(dir: string): Promise<void> {
  await using store = await openTestStore(dir, { bootId: 'boot-1' });
  for (const n of [1, 2, 3]) await completeTask(store, n, 10_000);
}

/** Changes the database behind the store's back. */
function tamper(dir: string, sql: string): void {
  tamperFile(storePaths(dir).database, sql);
}

function tamperFile(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
}

const markUnclean = "update store set value = '0' where name = 'clean'";

describe('opening a storage directory again', () => {
  it('deletes files without records, and forgets records without files', async () => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    const paths = storePaths(directory.path);
    await rm(taskPath(paths, taskIdNumber(2)));
    await mkdir(join(paths.tasks, 'abc', 'folder'), { recursive: true });
    await writeFile(join(paths.tasks, 'abc', `abc${'0'.repeat(61)}`), 'orphan');
    await writeFile(join(paths.tasks, 'stray'), 'stray');
    await using store = await openTestStore(directory.path);
    expect([...store.list()].map(({ taskId }) => taskId)).toEqual([taskIdNumber(1), taskIdNumber(3)]);
    expect(await readdir(join(paths.tasks, 'abc'))).toEqual([]);
    expect(existsSync(join(paths.tasks, 'stray'))).toBe(false);
    await store.create(newTask(2, 10_000));
    expect(store.get(taskIdNumber(2))?.finishedPieces.size).toBe(0);
  });

  it('empties what deleted tasks left behind', async () => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    const { tmp } = storePaths(directory.path);
    await writeFile(join(tmp, 'left'), 'bytes');
    await using _store = await openTestStore(directory.path);
    expect(await readdir(tmp)).toEqual([]);
  });

  it.each([
    ['a task', `update task set response_headers = 'no json' where id = '${taskIdNumber(2)}'`],
    ['lengths', `update task set piece_length = 0 where id = '${taskIdNumber(2)}'`],
    ['an id', `update task set id = '../../secret' where id = '${taskIdNumber(2)}'`],
    ['a digest', 'update piece set digest = 12 where task_key = 2 and number = 1'],
    ['a piece number', 'update piece set number = 99 where task_key = 2 and number = 1'],
  ])('loses one task to damage in the row of %s', async (_, sql) => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    tamper(directory.path, sql);
    const log = new LogLines();
    await using store = await openTestStore(directory.path, { logger: log.logger });
    expect([...store.list()].map(({ taskId }) => taskId)).toEqual([taskIdNumber(1), taskIdNumber(3)]);
    expect(log.messages).toContain('a task is forgotten: its records are damaged');
    expect(existsSync(taskPath(storePaths(directory.path), taskIdNumber(2)))).toBe(false);
  });

  it.each<[string, (path: string) => Promise<void>]>([
    ['is no database', (path) => writeFile(path, Buffer.alloc(8192, 0x5a))],
    [
      'has broken pages',
      async (path) => {
        const file = await open(path, 'r+');
        await file.write(Buffer.alloc(4096 * 4, 0x5a), 0, 4096 * 4, 4096);
        await file.close();
      },
    ],
    ['lacks its tables', async (path) => tamperFile(path, 'drop table piece')],
  ])('moves a database aside that %s, and starts empty', async (_, damage) => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    const paths = storePaths(directory.path);
    await damage(paths.database);
    const log = new LogLines();
    await using store = await openTestStore(directory.path, { logger: log.logger });
    expect([...store.list()]).toEqual([]);
    expect(existsSync(taskPath(paths, taskIdNumber(1)))).toBe(false);
    expect(await readdir(join(paths.metadata, 'damaged'))).toContain('tasks.db');
    expect(log.messages).toContain('the metadata is damaged: starting with an empty store');
    await completeTask(store, 1, 10_000);
  });

  it('refuses what a later release wrote, and leaves it alone', async () => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    tamper(directory.path, 'pragma user_version = 7');
    await expect(openTestStore(directory.path)).rejects.toMatchObject({
      code: 'STORE_FORMAT',
      message: expect.stringContaining(`${directory.path} has format 7`),
    });
    expect(existsSync(taskPath(storePaths(directory.path), taskIdNumber(1)))).toBe(true);
  });

  it('trusts what a killed process wrote on a machine that kept running', async () => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    tamper(directory.path, markUnclean);
    await using store = await openTestStore(directory.path, { bootId: 'boot-1' });
    expect([...store.list()].map(({ isComplete }) => isComplete)).toEqual([true, true, true]);
  });

  it('shows no piece after the machine went down before it has matched its CRC', async () => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    tamper(directory.path, markUnclean);
    const paths = storePaths(directory.path);
    const file = await open(taskPath(paths, taskIdNumber(1)), 'r+');
    await file.write(Buffer.from([1, 2, 3]), 0, 3, 5_000);
    await file.close();
    await truncate(taskPath(paths, taskIdNumber(2)), 5_000);

    await using store = await openTestStore(directory.path, { bootId: 'boot-2' });
    expect([...store.list()]).toEqual([]);
    expect(store.get(taskIdNumber(1))).toBeUndefined();
    const first = await store.create(newTask(1, 10_000));
    expect([...first.finishedPieces]).toEqual([0, 2]);
    expect(first.isComplete).toBe(false);
    const second = await store.create(newTask(2, 10_000));
    expect([...second.finishedPieces]).toEqual([0]);
    const third = await store.create(newTask(3, 10_000));
    expect(third.isComplete).toBe(true);
    expect(await readAll(third, 0, 10_000)).toHaveLength(10_000);
    expect(store.get(taskIdNumber(3))).toBe(third);
  });

  it('goes on doubting after another end of the process alone', async () => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    tamper(directory.path, markUnclean);
    const verified = await openTestStore(directory.path, { bootId: 'boot-2' });
    await verified.create(newTask(3, 10_000));
    await verified[Symbol.asyncDispose]();
    tamper(directory.path, markUnclean);
    await using store = await openTestStore(directory.path, { bootId: 'boot-2' });
    expect([...store.list()].map(({ taskId }) => taskId)).toEqual([taskIdNumber(3)]);
  });

  it('verifies a task whose file changed its length, whatever happened', async () => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    await truncate(taskPath(storePaths(directory.path), taskIdNumber(1)), 100);
    await using store = await openTestStore(directory.path);
    const task = await store.create(newTask(1, 10_000));
    expect(task.finishedPieces.size).toBe(0);
    await completeTask(store, 1, 10_000);
  });

  it('is refused to a second store, naming directory and process', async () => {
    await using directory = await scratchDirectory();
    await using _first = await openTestStore(directory.path);
    const second = openTestStore(directory.path);
    await expect(second).rejects.toMatchObject({ code: 'STORE_LOCKED', otherPid: process.pid });
    await expect(second).rejects.toThrow(`storage directory ${directory.path} is in use by process ${process.pid}`);
  });

  it('says which directory cannot be used', async () => {
    await using directory = await scratchDirectory();
    await writeFile(join(directory.path, 'file'), '');
    const dir = join(directory.path, 'file', 'store');
    await expect(openTestStore(dir)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining(dir),
    });
    await expect(openTestStore('/proc/store')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });
});

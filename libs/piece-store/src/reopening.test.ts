import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import type { StoredTask } from '@d7y/peer-engine';
import { createLayout, pieceDigestOf } from '@d7y/piece';
import { completeTask, newTask, pattern, readAll, taskIdNumber } from '@d7y/peer-engine/conformance';
import { LogLines, openTestStore, scratchDirectory } from './_store-under-test.ts';
import { storePaths, taskPath } from './store-paths.ts';

/** Leaves a directory with complete tasks 1 to 3, each of 10000 bytes, cleanly closed. */
async function leaveThreeTasks(dir: string): Promise<void> {
  await using store = await openTestStore(dir, { bootId: 'boot-1' });
  for (const n of [1, 2, 3]) await completeTask(store, n, 10_000);
}

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

/** Leaves content named after its own SHA-256: a blob and a manifest, complete, and what must not be taken for either. */
async function leaveBlobs(dir: string) {
  await using store = await openTestStore(dir, { bootId: 'boot-1' });
  const leave = async (content: Uint8Array, writtenBytes = content.length): Promise<string> => {
    const taskId = createHash('sha256').update(content).digest('hex');
    const task = await store.create({ ...newTask(1, 0), taskId, layout: createLayout(content.length) });
    await task.write(0, [content.subarray(0, writtenBytes)]);
    return taskId;
  };
  return {
    blobId: await leave(pattern(1, 5_000_000)),
    manifestId: await leave(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST_TYPE }))),
    partialId: await leave(pattern(2, 5_000_000), 4_500_000),
    untypedId: await leave(Buffer.from(JSON.stringify({ schemaVersion: 2, layers: [] }))),
  };
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
  it('weakness 38: deletes files without records, and forgets records without files', async () => {
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
  ])('weakness 38: loses one task to damage in the row of %s', async (_, sql) => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    tamper(directory.path, sql);
    const log = new LogLines();
    await using store = await openTestStore(directory.path, { logger: log.logger });
    expect([...store.list()].map(({ taskId }) => taskId)).toEqual([taskIdNumber(1), taskIdNumber(3)]);
    expect(log.messages).toContain('a task is forgotten: its records are damaged');
    expect(existsSync(taskPath(storePaths(directory.path), taskIdNumber(2)))).toBe(false);
  });

  it.each([
    ['digest', 'update piece set digest = 12 where task_key = 2 and number = 1'],
    ['number', 'update piece set number = 99 where task_key = 2 and number = 1'],
  ])('loses one piece to damage in its %s', async (_, sql) => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    tamper(directory.path, sql);
    const log = new LogLines();
    await using store = await openTestStore(directory.path, { logger: log.logger });
    expect([...store.list()]).toHaveLength(3);
    const task = store.get(taskIdNumber(2));
    expect([0, 1, 2].map((number) => task?.piece(number)?.number)).toEqual([0, undefined, 2]);
    expect([...(task?.finishedPieces ?? [])]).toEqual([0, 2]);
    expect(task?.isComplete).toBe(false);
    expect(log.messages).toContain('the record of a piece is damaged');
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
    ['has other tables', async (path) => tamperFile(path, 'alter table task rename column digest to checksum')],
    ['is cut off', (path) => truncate(path, 5_000)],
    ['claims to be empty', async (path) => tamperFile(path, 'pragma user_version = 0')],
  ])('moves a database aside that %s, and keeps what its content proves', async (_, damage) => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    const blob = await leaveBlobs(directory.path);
    const paths = storePaths(directory.path);
    await damage(paths.database);
    const log = new LogLines();
    await using store = await openTestStore(directory.path, { logger: log.logger });
    await store.swept();
    expect(await readdir(join(paths.metadata, 'damaged'))).toContain('tasks.db');
    expect(log.messages).toContain('the metadata is damaged: what can be proved from content alone is kept');
    expect([...store.list()].map(({ taskId }) => taskId).sort()).toEqual([blob.blobId, blob.manifestId].sort());
    expect(existsSync(taskPath(paths, taskIdNumber(1)))).toBe(false);
    expect(existsSync(taskPath(paths, blob.partialId))).toBe(false);
    expect(existsSync(taskPath(paths, blob.untypedId))).toBe(false);
    await completeTask(store, 1, 10_000);
  });

  it('proves content that has lost its records piece by piece, and trusts nobody with it unasked', async () => {
    await using directory = await scratchDirectory();
    const { blobId, manifestId } = await leaveBlobs(directory.path);
    await writeFile(storePaths(directory.path).database, '');
    await using before = await openTestStore(directory.path);
    await before.swept();
    await before[Symbol.asyncDispose]();
    await using store = await openTestStore(directory.path);
    const blob = store.get(blobId);
    expect(blob).toMatchObject({ isComplete: true, isPrivate: true, digest: `sha256:${blobId}`, url: '' });
    expect(blob?.layout).toEqual(createLayout(5_000_000));
    for (const number of [0, 1]) {
      const piece = blob?.piece(number);
      const bytes = await readAll(blob as StoredTask, piece?.offset ?? 0, piece?.length ?? 0);
      expect(piece?.digest).toBe(pieceDigestOf(bytes));
    }
    expect(store.get(manifestId)?.responseHeaders).toEqual({ 'content-type': MANIFEST_TYPE });
  });

  it('proves first what somebody asks for', async () => {
    await using directory = await scratchDirectory();
    const { blobId } = await leaveBlobs(directory.path);
    await rm(storePaths(directory.path).database);
    await using store = await openTestStore(directory.path);
    expect(store.get(blobId)).toBeUndefined();
    const layout = createLayout(5_000_000);
    const task = await store.create({ ...newTask(1, 0), taskId: blobId, layout, digest: `sha256:${blobId}` });
    expect(task.isComplete).toBe(true);
    expect(store.get(blobId)).toBe(task);
  });

  it('compares a store with its files after it is open, where that takes long, and looks first at what is asked for', async () => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    const paths = storePaths(directory.path);
    await rm(taskPath(paths, taskIdNumber(1)));
    await truncate(taskPath(paths, taskIdNumber(2)), 5_000);
    const orphan = join(paths.tasks, 'abc', `abc${'0'.repeat(61)}`);
    await mkdir(dirname(orphan));
    await writeFile(orphan, 'orphan');
    await using store = await openTestStore(directory.path, { compareMs: 0 });
    expect(store.get(taskIdNumber(1))).toBeUndefined();
    expect(store.get(taskIdNumber(2))).toBeUndefined();
    expect(store.get(taskIdNumber(3))?.isComplete).toBe(true);
    const fresh = await completeTask(store, 1, 10_000);
    await store.swept();
    expect(existsSync(orphan)).toBe(false);
    expect(store.get(taskIdNumber(1))).toBe(fresh);
    expect(await readAll(fresh, 0, 10_000)).toHaveLength(10_000);
    expect([...(store.get(taskIdNumber(2))?.finishedPieces ?? [])]).toEqual([0]);
  });

  it('verifies in the background what a machine that went down left, and evicts none of it as used just now', async () => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    tamper(directory.path, markUnclean);
    const times = `select used_at_ms from task`;
    await using store = await openTestStore(directory.path, { bootId: 'boot-2' });
    await store.swept();
    expect([...store.list()].map(({ isComplete }) => isComplete)).toEqual([true, true, true]);
    const used = [...store.list()].map(({ usedAtMs }) => Math.round(usedAtMs));
    await store[Symbol.asyncDispose]();
    const database = new DatabaseSync(storePaths(directory.path).database);
    expect(
      database
        .prepare(times)
        .all()
        .map((row) => row['used_at_ms']),
    ).toEqual(used);
    database.close();
  });

  it('weakness 40: refuses what a later release wrote, and leaves it alone', async () => {
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

  it('weakness 40: shows no piece after the machine went down before it has matched its CRC', async () => {
    await using directory = await scratchDirectory();
    await leaveThreeTasks(directory.path);
    tamper(directory.path, markUnclean);
    const paths = storePaths(directory.path);
    const file = await open(taskPath(paths, taskIdNumber(1)), 'r+');
    await file.write(Buffer.from([1, 2, 3]), 0, 3, 5_000);
    await file.close();
    await truncate(taskPath(paths, taskIdNumber(2)), 5_000);

    await using store = await openTestStore(directory.path, { bootId: 'boot-2' });
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
    expect(store.get(taskIdNumber(3))?.isComplete).toBe(true);
    expect(store.get(taskIdNumber(2))).toBeUndefined();
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

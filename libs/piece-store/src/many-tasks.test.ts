import { mkdir } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { newTask, taskIdNumber } from '@d7y/peer-engine/conformance';
import { describe, expect, it } from '@jest/globals';
import { openTestStore, scratchDirectory } from './_store-under-test.ts';
import { SqliteMetadata } from './sqlite-metadata.ts';
import { storePaths } from './store-paths.ts';

const TASKS = 5_000;
const LONG = 'x'.repeat(2_000);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

/** Complete tasks on record, without their files. */
async function leaveManyTasks(dir: string): Promise<void> {
  const paths = storePaths(dir);
  await mkdir(paths.metadata, { recursive: true });
  const onDamaged = (): void => undefined;
  const damage = { onDamagedTask: onDamaged, onDamagedPiece: onDamaged };
  const metadata = new SqliteMetadata({ path: paths.database, dir, bootId: 'boot', nowMs: 1, ...damage });
  for (let n = 1; n <= TASKS; n++) {
    const { key } = metadata.insert(
      { ...newTask(n, 10), url: `http://o.test/${n}?${LONG}`, responseHeaders: { etag: `"${n}${LONG}"` } },
      n,
    );
    metadata.apply([{ kind: 'complete', key }]);
  }
  metadata.close({ isClean: true });
}

describe('a store of many tasks', () => {
  it('keeps little of each in memory, and finds the rest where somebody asks', async () => {
    await using directory = await scratchDirectory();
    await leaveManyTasks(directory.path);
    const before = heapBytes();
    await using store = await openTestStore(directory.path, { compareMs: 0, bootId: 'boot' });
    const tasks = [...store.list()];
    // Measured: 0.6 KB.
    expect((heapBytes() - before) / TASKS).toBeLessThan(1_500);
    const task = tasks.find(({ taskId }) => taskId === taskIdNumber(TASKS));
    expect([task?.url, task?.responseHeaders]).toEqual([
      `http://o.test/${TASKS}?${LONG}`,
      { etag: `"${TASKS}${LONG}"` },
    ]);
  });

  it('keeps all of a task that is deleted for as long as it is read', async () => {
    await using directory = await scratchDirectory();
    await using store = await openTestStore(directory.path);
    const task = await store.create(newTask(1, 10));
    using _reader = task.retain();
    await store.delete(task.taskId);
    expect([task.url, task.responseHeaders]).toEqual([newTask(1, 10).url, newTask(1, 10).responseHeaders]);
  });
});

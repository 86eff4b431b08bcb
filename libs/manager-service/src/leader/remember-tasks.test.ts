import { swarmListing } from '@d7y/api';
import { create } from '@bufbuild/protobuf';
import { openDatabase, TaskHistoryRepository } from '@d7y/manager-db';
import { describe, expect, it } from '@jest/globals';
import { databasesOfTests, silent, startTestManager } from '../_rig.ts';
import { rememberTasksTask } from './remember-tasks.ts';
import { retentionTasks } from './retention.ts';

const newDatabase = databasesOfTests();
const { signal } = new AbortController();
const HOUR_MS = 3_600_000;
const ALL = { offset: 0, limit: 10 };

describe('rememberTasksTask', () => {
  it('keeps what schedulers told of tasks that they have forgotten since, for its time, without signatures', async () => {
    const address = await newDatabase();
    // Makes the first cluster.
    await (await startTestManager(address))[Symbol.asyncDispose]();
    await using database = await openDatabase({ address });
    const history = new TaskHistoryRepository(database.db);
    let nowMs = Date.UTC(2026, 0, 1);
    const task = (id: string, state: string, more: object = {}) => ({
      schedulerClusterId: 1,
      told: create(swarmListing.ListedTaskSchema, { id, state, url: `https://r.example/${id}?sign=planted`, ...more }),
    });
    let told = [task('a', 'Running'), task('b', 'Running')];
    const { run } = rememberTasksTask({
      listing: { tasks: async () => ({ items: told, incomplete: [], incompleteClusters: new Set() }) },
      ...{ history, intervalMs: 1, clock: () => nowMs },
    });
    await run({ signal });
    nowMs += HOUR_MS;
    const most = 2n ** 64n - 1n;
    told = [
      task('a', 'Succeeded', { contentLength: 9n, pieceCount: 1n, peers: 2n }),
      // What a peer made up fits no column, and spoils nothing for others.
      task('c', 'Run\0ning', { contentLength: most, pieceCount: most, peers: most, tag: 't'.repeat(5_000) }),
      task('d'.repeat(300), 'Running'),
    ];
    await run({ signal });
    const { rows } = await history.page({}, ALL);
    expect(rows).toMatchObject([
      {
        taskId: 'a',
        state: 'Succeeded',
        contentLength: 9,
        pieceCount: 1,
        peerCount: 2,
        url: 'https://r.example/a?sign=*',
      },
      { taskId: 'c', state: 'Running', contentLength: null, pieceCount: null },
      { taskId: 'b', state: 'Running', lastSeenAt: new Date(nowMs - HOUR_MS) },
    ]);
    const retention = retentionTasks({
      ...{ database, clock: () => nowMs, logger: silent },
      config: {
        ...{ job: { retention: HOUR_MS } as never, audit: { retention: HOUR_MS }, schedulers: { retention: HOUR_MS } },
        taskHistory: { retention: HOUR_MS / 2, interval: 1, maxTasks: 1 },
      },
    });
    for (const each of retention) await each.run({ signal });
    expect((await history.page({}, ALL)).rows.map(({ taskId }) => taskId)).toEqual(['a']);
  });
});

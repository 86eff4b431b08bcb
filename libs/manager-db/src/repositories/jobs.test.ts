import { describe, expect, it } from '@jest/globals';
import { Secret } from '@d7y/service-kit';
import { after, databasesOfTests, NOON } from '../_database.ts';
import type { Database } from '../open-database.ts';
import { Sealer } from '../secrets/sealer.ts';
import { ClusterRepository } from './clusters.ts';
import { JobSecretRepository } from './job-secrets.ts';
import type { SubmittedValues } from './jobs.ts';
import { JobRepository } from './jobs.ts';
import { TaskHistoryRepository } from './task-history.ts';

const databases = databasesOfTests();
const ALL = { offset: 0, limit: 100 };
let count = 0;
const asked = (change: Partial<SubmittedValues> = {}): SubmittedValues => ({
  ...{ taskId: `group_${++count}`, bio: '', type: 'preheat', args: { type: 'image' }, traceparent: null, userId: null },
  ...{ dedupKey: null, idempotencyKey: null, deadlineAt: null, schedulerClusterIds: [], seedPeerClusterIds: [] },
  ...change,
});
const key = (letter: string) => letter.repeat(64);
const submit = (database: Database, change: Partial<SubmittedValues> = {}, now = NOON) =>
  database.transaction((tx) => new JobRepository(tx).submit(asked(change), now));

async function withCluster(database: Database): Promise<void> {
  const configs = { schedulerClusterConfig: {}, seedPeerClusterConfig: {}, peerClusterConfig: {} };
  await new ClusterRepository(database.db).create(
    { name: 'a', bio: '', scopes: {}, isDefault: true, ...configs },
    NOON,
  );
}

describe('JobRepository', () => {
  it('counts jobs from 1, and knows their clusters', async () => {
    await using database = await databases.open();
    await withCluster(database);
    const { job, isNew } = await submit(database, { schedulerClusterIds: [1], seedPeerClusterIds: [1] });
    expect([job.id, isNew, job.state, job.phase]).toEqual([1, true, 'PENDING', 'PENDING']);
    const other = await submit(database);
    const jobs = new JobRepository(database.db);
    expect(await jobs.clustersOf([1, other.job.id])).toMatchObject(
      new Map([
        [1, { schedulerClusters: [{ name: 'a' }], seedPeerClusters: [{ name: 'a' }] }],
        [2, { schedulerClusters: [], seedPeerClusters: [] }],
      ]),
    );
    await expect(submit(database, { schedulerClusterIds: [4711] })).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
    });
    expect(await jobs.page({ type: 'preheat', state: 'PENDING' }, ALL)).toMatchObject({
      total: 2,
      rows: [{ id: 2 }, { id: 1 }],
    });
  });

  it('lets all who ask for the same meet in one job while it is pending, also at the same time', async () => {
    await using database = await databases.open();
    const all = await Promise.all(Array.from({ length: 8 }, () => submit(database, { dedupKey: key('a') })));
    expect(all.filter(({ isNew }) => isNew)).toHaveLength(1);
    const ids = new Set(all.map(({ job }) => job.id));
    expect(ids.size).toBe(1);
    expect((await submit(database, { dedupKey: key('b') })).isNew).toBe(true);
    const [id = 0] = ids;
    await new JobRepository(database.db).finish(id, 1, { state: 'SUCCESS' }, NOON);
    expect((await submit(database, { dedupKey: key('a') })).isNew).toBe(true);
  });

  it('gives the same job for the same key within a day, whatever became of it', async () => {
    await using database = await databases.open();
    const { job } = await submit(database, { idempotencyKey: key('k') });
    await new JobRepository(database.db).finish(job.id, 1, { state: 'FAILURE' }, NOON);
    const day = 24 * 3600 * 1000;
    expect((await submit(database, { idempotencyKey: key('k') }, after(day - 1))).job.id).toBe(job.id);
    const next = await submit(database, { idempotencyKey: key('k') }, after(day));
    expect([next.isNew, next.job.id === job.id]).toEqual([true, false]);
  });

  it('ends a job once, and believes no attempt but the last', async () => {
    await using database = await databases.open();
    const jobs = new JobRepository(database.db);
    const { job } = await submit(database, { dedupKey: key('a') });
    expect(await jobs.report(job.id, 1, { phase: 'STARTED', progress: { layers_total: 3 } }, after(5))).toBe(true);
    expect(await jobs.get(job.id)).toMatchObject({
      phase: 'STARTED',
      startedAt: after(5),
      progress: { layers_total: 3 },
    });
    expect(await jobs.finish(job.id, 1, { state: 'FAILURE', error: 'no' }, after(6))).toMatchObject({
      phase: 'FAILURE',
      error: 'no',
    });
    expect(await jobs.finish(job.id, 1, { state: 'SUCCESS' }, after(7))).toBeUndefined();
    expect(await jobs.report(job.id, 1, { phase: 'STARTED' }, after(7))).toBe(false);
    const again = await jobs.startAnew(job.id, after(100), after(8));
    expect(again).toMatchObject({
      state: 'PENDING',
      attempt: 2,
      error: null,
      finishedAt: null,
      deadlineAt: after(100),
    });
    expect(await jobs.startAnew(job.id, null, after(8))).toBeUndefined();
    expect(await jobs.finish(job.id, 1, { state: 'FAILURE' }, after(9))).toBeUndefined();
    expect(await jobs.finish(job.id, 2, { state: 'SUCCESS' }, after(9))).toMatchObject({ state: 'SUCCESS' });
    expect(await jobs.startAnew(job.id, null, after(10))).toBeUndefined();
  });

  it('does not start anew what was asked for again meanwhile', async () => {
    await using database = await databases.open();
    const jobs = new JobRepository(database.db);
    const { job } = await submit(database, { dedupKey: key('a') });
    await jobs.finish(job.id, 1, { state: 'FAILURE' }, NOON);
    await submit(database, { dedupKey: key('a') });
    await expect(jobs.startAnew(job.id, null, NOON)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  });

  it('is asked to end while it is pending only, and keeps when that was first', async () => {
    await using database = await databases.open();
    const jobs = new JobRepository(database.db);
    const { job } = await submit(database);
    expect(await jobs.requestCancel(job.id, after(1))).toBe(true);
    expect(await jobs.requestCancel(job.id, after(2))).toBe(true);
    expect(await jobs.finish(job.id, 1, { state: 'FAILURE', phase: 'CANCELLED' }, after(3))).toMatchObject({
      ...{ phase: 'CANCELLED', cancelRequestedAt: after(1) },
    });
    expect(await jobs.requestCancel(job.id, after(4))).toBe(false);
  });

  it('finds what is silent, counts what is pending, and never removes that or the newest preheats', async () => {
    await using database = await databases.open();
    const jobs = new JobRepository(database.db);
    const ids: number[] = [];
    for (let at = 0; at < 5; at++) ids.push((await submit(database, {}, after(at))).job.id);
    const gc = (await submit(database, { type: 'gc' }, after(0))).job.id;
    for (const id of [...ids.slice(1), gc]) await jobs.finish(id, 1, { state: 'SUCCESS' }, after(10));
    expect(await jobs.pending()).toEqual({ count: 1, oldestAt: NOON });
    expect(await jobs.silentSince(after(0), 10)).toMatchObject([{ id: ids[0] }]);
    expect(await jobs.silentSince(after(-1), 10)).toEqual([]);
    expect(await jobs.removeEndedBefore(after(11), 2, 100)).toBe(3);
    expect((await jobs.page({}, ALL)).rows.map(({ id }) => id)).toEqual([ids[4], ids[3], ids[0]]);
  });
});

describe('JobSecretRepository', () => {
  it('keeps credentials sealed, for their job and their time', async () => {
    await using database = await databases.open();
    const secrets = new JobSecretRepository(database.db, new Sealer(new Secret('key')));
    const [one, two] = [(await submit(database)).job.id, (await submit(database)).job.id];
    await secrets.keep(one, new Secret('first'), after(500), NOON);
    await secrets.keep(one, new Secret('pl4nt3d'), after(1_000), NOON);
    await secrets.keep(two, new Secret('other'), after(1_000), NOON);
    expect((await secrets.find(one, after(999)))?.reveal()).toBe('pl4nt3d');
    expect(await secrets.find(one, after(1_000))).toBeUndefined();
    const { rows } = await database.pool.query<{ row: string }>('select job_secret::text as row from job_secret');
    expect(rows.map(({ row }) => row).join()).not.toContain('pl4nt3d');
    // Moved into another job's row, it opens no more.
    await database.pool.query('update job_secret set sealed = (select sealed from job_secret where job_id = $1) where job_id = $2', [one, two]); // prettier-ignore
    await expect(secrets.find(two, NOON)).rejects.toMatchObject({ code: 'SEAL_BROKEN' });
    await secrets.forget(two);
    await secrets.forgetExpired(after(1_000));
    expect(await secrets.find(one, NOON)).toBeUndefined();
  });
});

describe('TaskHistoryRepository', () => {
  it('remembers when a task was seen first and last, and what was told last', async () => {
    await using database = await databases.open();
    await withCluster(database);
    const history = new TaskHistoryRepository(database.db);
    const task = (taskId: string, state: string) => ({
      ...{ schedulerClusterId: 1, taskId, url: 'https://r', type: 'standard', tag: '', application: '', state },
      ...{ contentLength: null, pieceLength: 4194304, pieceCount: null, peerCount: 1, seedPeerCount: 1 },
    });
    await history.recordSeen([task('a', 'Running'), task('b', 'Running')], NOON);
    await history.recordSeen([{ ...task('a', 'Succeeded'), contentLength: 5 }], after(1_000));
    expect(await history.page({}, ALL)).toMatchObject({
      total: 2,
      rows: [
        { taskId: 'a', state: 'Succeeded', contentLength: 5, firstSeenAt: NOON, lastSeenAt: after(1_000) },
        { taskId: 'b', lastSeenAt: NOON },
      ],
    });
    expect(await history.removeUnseen(after(500), 10)).toBe(1);
    expect((await history.page({ state: 'Succeeded' }, ALL)).total).toBe(1);
  });
});

import { describe, expect, it } from '@jest/globals';
import { after, databasesOfTests, NOON } from '../_database.ts';
import { JobIntake } from '../jobs/job-intake.ts';
import { JobWork } from '../jobs/job-work.ts';
import type { Database } from '../open-database.ts';
import { ClusterRepository } from './clusters.ts';
import { JobRepository } from './jobs.ts';
import { PeerRepository } from './peers.ts';
import { TaskHistoryRepository } from './task-history.ts';

const databases = databasesOfTests();
const ALL = { offset: 0, limit: 100 };
let count = 0;

/** A job that was asked for. @returns its id */
async function accept(database: Database, change: Partial<Parameters<JobIntake['accept']>[0]> = {}): Promise<number> {
  const taken = await new JobIntake(database).accept({
    ...{ groupId: `group_${++count}`, type: 'preheat', bio: '', userId: undefined, args: { type: 'image' } },
    ...{ clusterIds: [], seedPeerClusterIds: [], dedupKey: String(count).padStart(64, '0') },
    ...{ idempotencyKey: undefined, traceparent: undefined, now: NOON, deadlineAt: after(60_000) },
    ...{ seal: undefined, secretExpiresAt: NOON, ...change },
  });
  if (taken.kind !== 'accepted') throw new TypeError(taken.kind);
  return taken.id;
}

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
    expect(await accept(database, { clusterIds: [1], seedPeerClusterIds: [1] })).toBe(1);
    expect(await accept(database, { type: 'gc' })).toBe(2);
    const jobs = new JobRepository(database.db);
    expect(await jobs.clustersOf([1, 2])).toMatchObject(
      new Map([
        [1, { schedulerClusters: [{ name: 'a' }], seedPeerClusters: [{ name: 'a' }] }],
        [2, { schedulerClusters: [{ name: 'a' }], seedPeerClusters: [] }],
      ]),
    );
    expect(await jobs.page({ state: 'PENDING' }, ALL)).toMatchObject({ total: 2, rows: [{ id: 2 }, { id: 1 }] });
    expect((await jobs.page({ type: 'gc' }, ALL)).total).toBe(1);
    expect(await jobs.update(1, { bio: 'known' }, after(1))).toMatchObject({ bio: 'known', updatedAt: after(1) });
    await expect(jobs.get(3)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('gives those who watch the newest, the pending and the named, each once, without what was asked for', async () => {
    await using database = await databases.open();
    await withCluster(database);
    const [jobs, intake] = [new JobRepository(database.db), new JobIntake(database)];
    const ids: number[] = [];
    for (let n = 0; n < 6; n++) ids.push(await accept(database));
    const end = { state: 'SUCCESS', phase: 'SUCCESS', error: undefined, now: NOON, result: () => ({}) } as const;
    for (const id of ids.slice(1)) await intake.end(id, end);
    const [pending, named] = [ids[0] as number, ids[2] as number];
    const watched = async (which: Partial<Parameters<JobRepository['watched']>[0]>) =>
      (await jobs.watched({ newest: 0, pending: 0, ids: [], ...which })).map(({ id }) => id).sort((a, b) => a - b);
    expect(await watched({})).toEqual([]);
    expect(await watched({ newest: 2 })).toEqual(ids.slice(4));
    expect(await watched({ pending: 5 })).toEqual([pending]);
    expect(await watched({ newest: 2, pending: 5, ids: [named, pending, 999] })).toEqual([
      ...[pending, named],
      ...ids.slice(4),
    ]);
    const [row] = await jobs.watched({ newest: 0, pending: 1, ids: [] });
    expect(row).toMatchObject({ id: pending, state: 'PENDING', phase: 'PENDING', progress: null, updatedAt: NOON });
    expect(row).not.toHaveProperty('args');
  });

  it('counts what became of the layers of one job in each cluster', async () => {
    await using database = await databases.open();
    await withCluster(database);
    const [jobs, work] = [new JobRepository(database.db), new JobWork(database)];
    const [jobId, other] = [await accept(database), await accept(database)];
    for (const id of [jobId, other]) {
      const layer = { schedulerClusterId: 1, taskId: 't', url: 'https://r', digest: 'd', bytes: 1, platforms: [] };
      await work.plan(id, [layer]);
      const hosts = ['a', 'b', 'c'].map((hostId) => ({ hostId, hostname: hostId, ip: '10.0.0.1' }));
      await work.addTargets({ jobId: id, clusterId: 1, taskId: 't' }, hosts);
    }
    const name = { jobId, clusterId: 1, taskId: 't' };
    for (const host of ['a', 'b']) await work.setTarget(name, host, { state: 'SUCCESS' });
    await work.setTarget(name, 'c', { state: 'FAILURE' });
    const counts = (await jobs.targetCounts(jobId)).toSorted((left, right) => right.count - left.count);
    expect(counts).toEqual([
      { cluster: 'a', state: 'SUCCESS', count: 2 },
      { cluster: 'a', state: 'FAILURE', count: 1 },
    ]);
    expect(await jobs.targetCounts(99)).toEqual([]);
  });

  it('never removes what is pending, nor the newest preheats', async () => {
    await using database = await databases.open();
    await withCluster(database);
    const [jobs, intake] = [new JobRepository(database.db), new JobIntake(database)];
    const ids: number[] = [];
    for (let at = 0; at < 5; at++) ids.push(await accept(database, { now: after(at) }));
    const gc = await accept(database, { type: 'gc' });
    const end = { state: 'SUCCESS', phase: 'SUCCESS', error: undefined, now: after(10), result: () => ({}) } as const;
    for (const id of [...ids.slice(1), gc]) await intake.end(id, end);
    expect(await jobs.removeEndedBefore(after(10), 2, 100)).toBe(0);
    expect(await jobs.removeEndedBefore(after(11), 2, 100)).toBe(3);
    expect((await jobs.page({}, ALL)).rows.map(({ id }) => id)).toEqual([ids[4], ids[3], ids[0]]);
  });
});

describe('PeerRepository', () => {
  it('replaces what was known by what schedulers say; who is gone becomes inactive and goes', async () => {
    await using database = await databases.open();
    await withCluster(database);
    const peers = new PeerRepository(database.db);
    const texts = { idc: '', location: '', platform: '', platformFamily: '', platformVersion: '', kernelVersion: '' };
    const peer = (hostName: string, os: string) => ({
      ...{ hostName, ip: '10.0.0.1', port: 1, downloadPort: 1, proxyPort: 0, objectStoragePort: 0, os, ...texts },
      ...{ gitVersion: '', gitCommit: '', buildPlatform: '', schedulerClusterId: 1 },
      ...({ type: 'normal', state: 'active' } as const),
    });
    const rows = async () =>
      (await peers.page({}, ALL)).rows.map(({ hostName, state, os }) => `${hostName} ${state} ${os}`).sort();
    await peers.mergeSeen([peer('a', 'old'), peer('b', 'old')], NOON);
    await peers.mergeSeen([peer('a', 'new')], after(1));
    expect(await peers.markUnseen(1, after(1), after(2))).toBe(1);
    expect(await rows()).toEqual(['a active new', 'b inactive old']);
    expect(await peers.counts()).toHaveLength(2);
    expect(await peers.counts()).toContainEqual({ schedulerClusterId: 1, type: 'normal', state: 'inactive', count: 1 });
    expect(await peers.removeUnseen(after(1), 10)).toBe(1);
    expect(await rows()).toEqual(['a active new']);
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
    await history.recordSeen([task('c', 'Running'), task('d', 'Running')], after(2_000));
    expect(await history.removeBeyond(2, 10)).toBe(1);
    expect((await history.page({}, ALL)).rows.map(({ taskId }) => taskId)).toEqual(['c', 'd']);
  });
});

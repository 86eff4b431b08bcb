import { startTestDatabases, type TestDatabases } from '@d7y/testkit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eq } from 'drizzle-orm';
import { migrateDatabase } from '../migrate-database.ts';
import { openDatabase, type Database } from '../open-database.ts';
import { jobOutbox, jobs, jobSecrets, schedulerClusters } from '../schema/index.ts';
import { JobIntake, type JobEnd, type NewJob, type OutboxEntry } from './job-intake.ts';
import { JobWork } from './job-work.ts';

let server: TestDatabases;

beforeAll(async () => {
  server = await startTestDatabases({ prepare: migrateDatabase });
}, 60_000);
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

const NOW = new Date('2026-01-01T00:00:00Z');
const later = (ms: number): Date => new Date(NOW.getTime() + ms);
let keys = 0;
const newJob = (change: Partial<NewJob> = {}): NewJob => ({
  ...{ groupId: `group_${++keys}`, type: 'preheat', bio: '', userId: undefined, args: { type: 'image' } },
  ...{ clusterIds: [], seedPeerClusterIds: [], dedupKey: String(keys).padStart(64, '0'), idempotencyKey: undefined },
  ...{ traceparent: undefined, now: NOW, deadlineAt: later(60_000), secretExpiresAt: later(3_600_000) },
  seal: (id) => `sealed for ${id}`,
  ...change,
});
const END: JobEnd = {
  ...{ state: 'FAILURE', phase: 'FAILURE', error: 'broken', now: later(5) },
  result: ({ groupId, clusterIds }) => ({ group_uuid: groupId, state: 'FAILURE', clusters: clusterIds }),
};

async function setUp(limits: readonly number[] = [1_000]) {
  await using stack = new AsyncDisposableStack();
  const address = await server.create();
  const database: Database = stack.use(await openDatabase({ address }));
  const clusters = await database.db
    .insert(schedulerClusters)
    .values(
      limits.map((limit, number) => ({
        name: `c${number}`,
        config: { job_rate_limit: limit },
        clientConfig: {},
        seedClientConfig: {},
      })),
    )
    .returning({ id: schedulerClusters.id });
  const moved = stack.move();
  return {
    ...{
      address,
      database,
      intake: new JobIntake(database),
      work: new JobWork(database),
      clusterIds: clusters.map(({ id }) => id),
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

describe('a job that is asked for', () => {
  it('is written with its clusters, its sealed credentials and the message to the queue', async () => {
    await using rig = await setUp([10, 10]);
    const taken = await rig.intake.accept(newJob());
    if (taken.kind !== 'accepted') throw new TypeError(taken.kind);
    expect(await rig.work.wanted(taken.id, 1)).toMatchObject({
      clusterIds: rig.clusterIds,
      sealed: `sealed for ${taken.id}`,
    });
    const told: OutboxEntry[] = [];
    expect(await rig.intake.sweep(async (entry) => void told.push(entry), NOW)).toBe(1);
    expect(told).toMatchObject([{ jobId: taken.id, kind: 'enqueue', type: 'preheat', attempt: 1 }]);
    expect(await rig.intake.sweep(async (entry) => void told.push(entry), NOW)).toBe(0);
  });

  it('is the job that is pending for the same, also when many ask at once', async () => {
    await using rig = await setUp();
    const same = newJob();
    const taken = await Promise.all(
      Array.from({ length: 8 }, () => rig.intake.accept({ ...same, groupId: `group_${++keys}` })),
    );
    expect(new Set(taken.map((one) => ('id' in one ? one.id : one.kind))).size).toBe(1);
    expect(taken.filter(({ kind }) => kind === 'accepted')).toHaveLength(1);
    const [first] = taken;
    const id = first !== undefined && 'id' in first ? first.id : 0;
    await rig.intake.end(id, END);
    expect(await rig.intake.accept({ ...same, groupId: 'another' })).toMatchObject({ kind: 'accepted' });
  });

  it('is the one that came with the same key within a day', async () => {
    await using rig = await setUp();
    const first = await rig.intake.accept(newJob({ idempotencyKey: 'k'.repeat(64) }));
    const id = 'id' in first ? first.id : 0;
    await rig.intake.end(id, END);
    expect(await rig.intake.accept(newJob({ idempotencyKey: 'k'.repeat(64), now: later(3_600_000) }))).toEqual({
      kind: 'duplicate',
      id,
    });
    expect(await rig.intake.accept(newJob({ idempotencyKey: 'k'.repeat(64), now: later(90_000_000) }))).toMatchObject({
      kind: 'accepted',
    });
  });

  it('is refused for unknown clusters, and when one of its clusters has enough of this second', async () => {
    await using rig = await setUp([1_000, 2]);
    const [wide = 0, narrow = 0] = rig.clusterIds;
    expect(await rig.intake.accept(newJob({ clusterIds: [wide, 77] }))).toEqual({
      kind: 'unknownCluster',
      clusterId: 77,
    });
    expect(await rig.intake.accept(newJob({ clusterIds: [narrow] }))).toMatchObject({ kind: 'accepted' });
    expect(await rig.intake.accept(newJob())).toMatchObject({ kind: 'accepted' });
    expect(await rig.intake.accept(newJob())).toEqual({ kind: 'limited', clusterId: narrow });
    expect(await rig.intake.accept(newJob({ clusterIds: [wide] }))).toMatchObject({ kind: 'accepted' });
    expect(await rig.intake.accept(newJob({ now: later(1_500) }))).toMatchObject({ kind: 'accepted' });
  });
});

describe('jobs that are asked for at the same moment', () => {
  it('are never more than a cluster takes in a second, whichever managers are asked', async () => {
    await using rig = await setUp([1_000, 5]);
    const [wide = 0, narrow = 0] = rig.clusterIds;
    await using other = await openDatabase({ address: rig.address });
    const otherIntake = new JobIntake(other);
    const asked = Array.from({ length: 40 }, (_, number) =>
      (number % 2 === 0 ? rig.intake : otherIntake).accept(
        newJob(number % 4 < 2 ? {} : { clusterIds: [narrow, wide] }),
      ),
    );
    const kinds = (await Promise.all(asked)).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'accepted')).toHaveLength(5);
    expect(kinds.filter((kind) => kind === 'limited')).toHaveLength(35);
    expect(await rig.intake.accept(newJob({ clusterIds: [wide] }))).toMatchObject({ kind: 'accepted' });
  });
});

describe('the message to the queue', () => {
  it('comes again later when the queue did not take it', async () => {
    await using rig = await setUp();
    await rig.intake.accept(newJob());
    await rig.intake.accept(newJob());
    const asked: number[] = [];
    const refuse = (entry: OutboxEntry) => (asked.push(entry.id), Promise.reject(new Error('no queue')));
    expect(await rig.intake.sweep(refuse, NOW)).toBe(0);
    expect(asked).toHaveLength(1);
    expect(await rig.intake.sweep(async () => undefined, NOW)).toBe(1);
    expect(await rig.intake.sweep(async () => undefined, later(2_000))).toBe(1);
  });

  it('is sent by one manager at a time', async () => {
    await using rig = await setUp();
    await rig.intake.accept(newJob());
    const inner = await Promise.all([
      rig.intake.sweep(async () => {
        expect(await rig.intake.sweep(async () => undefined, NOW)).toBeUndefined();
      }, NOW),
    ]);
    expect(inner).toEqual([1]);
  });
});

describe('the end of a job', () => {
  it('comes once, and says why where the worker did not', async () => {
    await using rig = await setUp();
    const taken = await rig.intake.accept(newJob());
    const id = 'id' in taken ? taken.id : 0;
    expect(await rig.intake.end(id, END, 2)).toBe(false);
    expect(await rig.intake.end(id, END, 1)).toBe(true);
    expect(await rig.intake.end(id, { ...END, state: 'SUCCESS', phase: 'SUCCESS' })).toBe(false);
    const [row] = await rig.database.db.select().from(jobs).where(eq(jobs.id, id));
    expect(row).toMatchObject({
      state: 'FAILURE',
      error: 'broken',
      result: { state: 'FAILURE', clusters: rig.clusterIds },
    });
    expect(await rig.work.wanted(id, 1)).toBeUndefined();
    expect(await rig.database.db.select().from(jobOutbox)).toEqual([]);
  });

  it('takes credentials away after success, and keeps them for another try after failure', async () => {
    await using rig = await setUp();
    const [one, two] = [await rig.intake.accept(newJob()), await rig.intake.accept(newJob())];
    const [won = 0, lost = 0] = [one, two].map((taken) => ('id' in taken ? taken.id : 0));
    await rig.intake.end(won, { ...END, state: 'SUCCESS', phase: 'SUCCESS' });
    await rig.intake.end(lost, END);
    expect((await rig.database.db.select().from(jobSecrets)).map(({ jobId }) => jobId)).toEqual([lost]);
    await rig.intake.forgetSecrets(later(3_600_001));
    expect(await rig.database.db.select().from(jobSecrets)).toEqual([]);
  });

  it('is followed by another attempt that keeps what succeeded', async () => {
    await using rig = await setUp();
    const taken = await rig.intake.accept(newJob());
    const id = 'id' in taken ? taken.id : 0;
    const [clusterId = 0] = rig.clusterIds;
    const layer = (taskId: string) => ({
      schedulerClusterId: clusterId,
      taskId,
      url: `http://${taskId}`,
      digest: '',
      bytes: 1,
      platforms: [],
    });
    await rig.work.plan(id, [layer('a'), layer('b')]);
    await rig.work.plan(id, [layer('c')]);
    for (const taskId of ['a', 'b']) {
      await rig.work.addTargets({ jobId: id, clusterId, taskId }, [{ hostId: 'h', hostname: 'h', ip: '10.0.0.1' }]);
      const state = taskId === 'a' ? 'SUCCESS' : 'FAILURE';
      await rig.work.setLayer({ jobId: id, clusterId, taskId }, { state, attempts: 3 });
      await rig.work.setTarget({ jobId: id, clusterId, taskId }, 'h', { state });
    }
    expect(await rig.work.progress(id)).toEqual({ layers_total: 2, layers_done: 1, peers_total: 1, peers_done: 0 });
    const options = { now: later(10), timeoutMs: () => 1_000, needsSecret: () => true };
    expect(await rig.intake.beginAnew(id, options)).toBe('notFailed');
    await rig.intake.end(id, END);
    expect(await rig.intake.beginAnew(99, options)).toBe('unknown');
    expect(await rig.intake.beginAnew(id, options)).toBe('begun');
    expect(await rig.work.wanted(id, 1)).toBeUndefined();
    expect(await rig.work.wanted(id, 2)).toMatchObject({ sealed: `sealed for ${id}` });
    expect((await rig.work.layers(id)).map(({ taskId, state, attempts }) => [taskId, state, attempts])).toEqual([
      ['a', 'SUCCESS', 3],
      ['b', 'PENDING', 0],
    ]);
    expect((await rig.intake.pending()).map(({ id: pending, isInOutbox }) => [pending, isInOutbox])).toEqual([
      [id, true],
    ]);
    await rig.intake.end(id, END);
    await rig.intake.forgetSecrets(later(3_600_001));
    expect(await rig.intake.beginAnew(id, options)).toBe('secretGone');
  });
});

import { JobIntake, migrateDatabase, openDatabase, schema, Sealer } from '@d7y/manager-db';
import type { JobMessage, QueuedJob } from '@d7y/preheat-queue';
import { createLogger, Secret, UpstreamGuard } from '@d7y/service-kit';
import { startTestDatabases, type TestDatabases } from '@d7y/testkit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { JobRequest } from '../rest/jobs-port.ts';
import { JobClerk, JobDesk } from './index.ts';

let server: TestDatabases;

beforeAll(async () => {
  server = await startTestDatabases({ prepare: migrateDatabase });
}, 60_000);
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

const logger = createLogger({ name: 'test', level: 'fatal' });
const IMAGE = { type: 'image', url: 'https://r.example/v2/a/b/manifests/c' } as const;
const request = (args: object = IMAGE, change: Partial<JobRequest> = {}): JobRequest => ({
  ...{ type: 'preheat', args: args, bio: '', userId: undefined, idempotencyKey: undefined },
  ...{ schedulerClusterIds: [], seedPeerClusterIds: [], ...change },
});

/** A manager whose queue is a table in memory. */
async function setUp(guard = new UpstreamGuard({ refusePrivate: true })) {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await openDatabase({ address: await server.create() }));
  await database.db
    .insert(schema.schedulerClusters)
    .values({ name: 'one', config: { job_rate_limit: 100 }, clientConfig: {}, seedClientConfig: {} });
  const intake = new JobIntake(database);
  const queued = new Map<string, { readonly message: JobMessage; seen: QueuedJob }>();
  const cancelled: number[] = [];
  const key = ({ jobId, attempt }: Pick<JobMessage, 'jobId' | 'attempt'>) => `${jobId} ${attempt}`;
  const queue = {
    isDown: false,
    enqueue: async (message: JobMessage) => {
      if (queue.isDown) throw new Error('no queue');
      if (!queued.has(key(message))) queued.set(key(message), { message, seen: { kind: 'waiting' } });
    },
    cancel: async (jobId: number) => void cancelled.push(jobId),
    look: async (message: Pick<JobMessage, 'jobId' | 'attempt'>) =>
      queued.get(key(message))?.seen ?? ({ kind: 'missing' } as const),
    onEnded: () => undefined,
  };
  let nowMs = Date.now();
  const clock = () => nowMs;
  const clerk = stack.use(new JobClerk({ intake, queues: queue, logger, clock, signal: new AbortController().signal }));
  const desk = new JobDesk({
    intake,
    sealer: new Sealer(new Secret('k'.repeat(32))),
    guard,
    wake: () => undefined,
    clock,
  });
  const rowOf = async (id: number) => (await database.db.select().from(schema.jobs)).find((row) => row.id === id);
  const moved = stack.move();
  return {
    ...{ database, desk, clerk, queue, queued, cancelled, rowOf },
    wait: (ms: number) => void (nowMs += ms),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

describe('a job that is submitted', () => {
  it('shows no credential anywhere but in its seal, and names an image by the URL of its manifest', async () => {
    await using rig = await setUp();
    const args = {
      type: 'image',
      url: 'ghcr.io/org/app:v1',
      headers: { Authorization: 'Bearer planted' },
      username: 'u',
      password: 'planted',
    };
    const { id, isDuplicate } = await rig.desk.submit(request(args));
    expect([id, isDuplicate]).toEqual([1, false]);
    await rig.clerk.sweep();
    const shown = JSON.stringify([
      await rig.rowOf(id),
      [...rig.queued.values()],
      await rig.database.db.select().from(schema.jobSecrets),
    ]);
    expect(shown).not.toContain('planted');
    expect((await rig.rowOf(id))?.args).toMatchObject({
      url: 'https://ghcr.io/v2/org/app/manifests/v1',
      reference: 'ghcr.io/org/app:v1',
      password: '[secret]',
    });
  });

  it('says that an image was named without a scheme only where it was, whatever the caller says', async () => {
    await using rig = await setUp(new UpstreamGuard());
    const named = await rig.desk.submit(request({ ...IMAGE, url: '127.0.0.1:5000/app' }));
    const url = 'https://127.0.0.1:5000/v2/app/manifests/latest';
    const byUrl = await rig.desk.submit(request({ ...IMAGE, url, reference: '127.0.0.1:5000/app' }));
    expect([named.isDuplicate, byUrl.isDuplicate]).toEqual([false, false]);
    expect([(await rig.rowOf(named.id))?.args, (await rig.rowOf(byUrl.id))?.args]).toEqual([
      { ...IMAGE, url, reference: '127.0.0.1:5000/app' },
      { ...IMAGE, url },
    ]);
    // Two names of one image.
    expect(await rig.desk.submit(request({ ...IMAGE, url: '127.0.0.1:5000/app:latest' }))).toEqual({
      id: named.id,
      isDuplicate: true,
    });
  });

  it('is the same job for the same request, with whatever credentials, while that is pending', async () => {
    await using rig = await setUp();
    const { id } = await rig.desk.submit(request({ ...IMAGE, headers: { Authorization: 'Bearer 1' } }));
    expect(await rig.desk.submit(request({ headers: { authorization: 'Bearer 2' }, ...IMAGE }))).toEqual({
      id,
      isDuplicate: true,
    });
    expect(await rig.desk.submit(request({ ...IMAGE, scope: 'all_peers' }))).toMatchObject({ isDuplicate: false });
    expect(await rig.desk.submit(request(IMAGE, { idempotencyKey: 'k' }))).toMatchObject({ isDuplicate: false });
    await rig.desk.cancel(3);
    expect(await rig.desk.submit(request(IMAGE, { idempotencyKey: 'k' }))).toEqual({ id: 3, isDuplicate: true });
  });

  it.each([
    ['a metadata service', { ...IMAGE, url: 'http://169.254.169.254/v2/a/manifests/b' }, 'link-local'],
    ['a private network', { type: 'file', url: 'http://10.0.0.1/x' }, 'job.preheat'],
    [
      'one file of many in a private network',
      { type: 'file', urls: ['https://a.example/x', 'http://127.0.0.1/x'] },
      'job.preheat',
    ],
    ['what is no image', { ...IMAGE, url: 'https://r.example/x' }, 'manifests'],
    ['another scheme', { type: 'file', url: 's3://bucket/x' }, 'http'],
  ])('is refused for %s', async (_what, args, words) => {
    await using rig = await setUp();
    await expect(rig.desk.submit(request(args))).rejects.toMatchObject({
      code: 'JOB_ARGUMENTS',
      message: expect.stringContaining(words) as unknown,
    });
  });

  it('is refused for clusters that are not there', async () => {
    await using rig = await setUp();
    await expect(rig.desk.submit(request(IMAGE, { schedulerClusterIds: [9] }))).rejects.toMatchObject({
      code: 'CLUSTER_NOT_FOUND',
    });
  });
});

describe('a pending job', () => {
  it('reaches a queue that comes back, and ends as the queue says', async () => {
    await using rig = await setUp();
    rig.queue.isDown = true;
    const { id } = await rig.desk.submit(request());
    await rig.clerk.sweep();
    expect(rig.queued.size).toBe(0);
    rig.queue.isDown = false;
    rig.wait(2_000);
    await rig.clerk.sweep();
    const [queued] = rig.queued.values();
    if (queued === undefined) throw new TypeError('it is not there');
    await rig.clerk.compare();
    expect((await rig.rowOf(id))?.state).toBe('PENDING');
    queued.seen = { kind: 'reported', report: { outcome: 'SUCCESS' } };
    await rig.clerk.compare();
    expect(await rig.rowOf(id)).toMatchObject({
      state: 'SUCCESS',
      phase: 'SUCCESS',
      result: { state: 'SUCCESS', job_states: [{ state: 'SUCCESS', error: '' }] },
    });
  });

  it('is told again to a queue that lost it, with its last attempt', async () => {
    await using rig = await setUp();
    const { id } = await rig.desk.submit(request());
    await rig.clerk.sweep();
    rig.queued.clear();
    await rig.clerk.compare();
    await rig.clerk.sweep();
    expect(rig.queued.size).toBe(0);
    rig.wait(6_000);
    await rig.clerk.compare();
    await rig.clerk.sweep();
    expect([...rig.queued.values()].map(({ message }) => message)).toEqual([
      { jobId: id, attempt: 1, type: 'preheat' },
    ]);
  });

  it('fails with a reason when the queue gave it up, or its time is over, and can be tried again', async () => {
    await using rig = await setUp();
    const { id } = await rig.desk.submit(request({ ...IMAGE, timeout: '1m' }));
    await rig.clerk.sweep();
    const [queued] = rig.queued.values();
    if (queued === undefined) throw new TypeError('it is not there');
    queued.seen = { kind: 'failed', reason: 'workers died over it' };
    await expect(rig.desk.retry(id)).rejects.toMatchObject({ code: 'JOB_CONFLICT' });
    await rig.clerk.compare();
    expect(await rig.rowOf(id)).toMatchObject({ state: 'FAILURE', error: 'workers died over it' });
    await rig.desk.retry(id);
    await rig.clerk.sweep();
    expect([...rig.queued.values()].map(({ message }) => message.attempt)).toEqual([1, 2]);
    rig.wait(100_000);
    await rig.clerk.compare();
    expect(await rig.rowOf(id)).toMatchObject({
      state: 'FAILURE',
      error: 'the job took longer than it may',
      result: { job_states: [{ state: 'FAILURE', error: 'the job took longer than it may' }] },
    });
  });

  it('ends at once when it is cancelled, and the workers hear of it', async () => {
    await using rig = await setUp();
    const { id } = await rig.desk.submit(request());
    await rig.desk.cancel(id);
    await rig.desk.cancel(id);
    await rig.clerk.sweep();
    expect([rig.queued.size, rig.cancelled]).toEqual([0, [id]]);
    expect(await rig.rowOf(id)).toMatchObject({ state: 'FAILURE', phase: 'CANCELLED' });
    await expect(rig.desk.cancel(77)).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
    await rig.desk.remove(id);
    expect(await rig.rowOf(id)).toBeUndefined();
    await expect(rig.desk.remove(id)).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
  });
});

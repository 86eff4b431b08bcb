import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { blobsOf, eventually, smallDisk } from '@d7y/testkit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectEveryByteOnce, type PublishedImage, type PullBench, startPullBench } from './_cluster.ts';
import { type ControlPlane, type JobAnswer, startControlPlane } from './_control-plane.ts';
import { type Killable, killNowAndThen, killSeed } from './_kills.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const NANOSECONDS_OF_AN_HOUR = 3.6e12;
const CLUSTER = 1;
/** One whose node has no room. */
const FULL_CLUSTER = 2;
const FULL = process.env['D7Y_TEST_FULL'] === '1';
/** Of workers, of managers and of Redis each. */
const KILLS = FULL ? 10 : 1;
/** After this Harbor takes a manager for gone. */
const HARBOR_TIMEOUT_MS = 30_000;
/** For a job through all of them. */
const MOST_WAIT_MS = 120_000;

const tasksOf = (job: JobAnswer) => {
  const [result] = job.result?.job_states[0]?.results ?? [];
  return { done: result?.success_tasks ?? [], failed: result?.failure_tasks ?? [] };
};

const askFor = (bench: PullBench, tag: string, more: object = {}) => ({
  ...{ type: 'image', url: `${bench.origin.url}/v2/test/app/manifests/${tag}`, scope: 'all_peers' },
  ...{ platform: 'linux/amd64', timeout: NANOSECONDS_OF_AN_HOUR, ...more },
});

const blobGets = ({ origin }: PullBench) =>
  origin.log.requests.filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'));

/** A server that takes connections, and says nothing. */
async function startSilentServer() {
  const asked = Promise.withResolvers<void>();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    asked.resolve();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    isAsked: asked.promise,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('two managers and two workers on one database and one Redis', () => {
  let plane: ControlPlane;
  let bench: PullBench;

  beforeAll(async () => {
    plane = await startControlPlane({ queue: 'redis', managers: 2, clusters: [CLUSTER, FULL_CLUSTER] });
    const startWorkers = async (): Promise<void> => {
      await plane.startWorker();
      await plane.startWorker();
    };
    [bench] = await Promise.all([
      startPullBench({ daemons: 2, schedulerConfig: plane.schedulerConfig() }),
      startWorkers(),
    ]);
    await plane.knows(bench.cluster);
  });

  afterAll(async () => {
    await bench[Symbol.asyncDispose]();
    await plane[Symbol.asyncDispose]();
  });

  /** Layers that the workers have brought to hosts. */
  const brought = async (): Promise<number> =>
    (await Promise.all(plane.workers.map((worker) => worker.targets('succeeded')))).reduce((sum, one) => sum + one, 0);
  const ask = (body: Readonly<Record<string, unknown>>, manager = 0) =>
    plane.preheat(body, { manager, clusterId: CLUSTER });
  const publish = (tag: string) => bench.publish({ tag, layerBytes: [5 * KIB, 3 * MIB, 6 * MIB] });

  function expectSuccess(job: JobAnswer): void {
    expect([job.state, job.error]).toEqual(['SUCCESS', null]);
    expect([tasksOf(job).done.length, tasksOf(job).failed]).toEqual([8, []]);
  }

  /** Reads every blob through every daemon, for which the registry is asked for none. */
  async function expectIsThere({ layout }: PublishedImage): Promise<void> {
    bench.origin.log.clear();
    for (const daemon of bench.cluster.daemons) {
      for (const { digest, size } of blobsOf(layout)) {
        const answer = await fetch(`${daemon.proxyUrl}/v2/test/app/blobs/${digest}`, {
          headers: { 'X-Dragonfly-Registry': bench.origin.url },
        });
        expect([answer.status, (await answer.arrayBuffer()).byteLength]).toEqual([200, size]);
      }
    }
    expect(blobGets(bench).map(({ path }) => path)).toEqual([]);
  }

  it('share the work: a request to both is one job, and every byte leaves the registry once', async () => {
    const tags = ['one', 'two', 'three'];
    const images = await Promise.all(tags.map(publish));
    bench.origin.log.clear();
    const ids = await Promise.all(tags.flatMap((tag) => [0, 1].map((manager) => ask(askFor(bench, tag), manager))));
    expect(new Set(ids).size).toBe(tags.length);
    for (const id of ids) {
      expectSuccess(await plane.ended(id, { manager: 1 }));
      expectSuccess(await plane.ended(id, { manager: 0 }));
    }
    for (const { layout } of images) expectEveryByteOnce(bench.origin, blobsOf(layout));
  });

  it('fail a job for a layer for which one node has no room, by its name; a retry brings only what is missing', async () => {
    await using disk = await smallDisk(48 * MIB);
    await using own = await startPullBench({ daemons: 1, schedulerConfig: plane.schedulerConfig(FULL_CLUSTER) });
    const full = await own.cluster.addDaemon({
      storage: { dir: `${disk.path}/storage` },
      gc: { policy: { diskHighThresholdPercent: 99, diskLowThresholdPercent: 98 } },
    });
    await plane.knows(own.cluster, FULL_CLUSTER);
    const image = await own.publish({ tag: 'v1', layerBytes: [5 * KIB, MIB, 20 * MIB] });
    const large = blobsOf(image.layout).reduce((a, b) => (a.size > b.size ? a : b));
    await disk.fill(10 * MIB);
    const before = await brought();

    // One after the other, so that the large one takes no room from the others.
    const body = askFor(own, 'v1', { concurrent_task_count: 1 });
    const id = await plane.preheat(body, { clusterId: FULL_CLUSTER });
    const failed = await plane.ended(id);
    expect(failed.state).toBe('FAILURE');
    for (const name of [large.digest, full.name]) expect(failed.error).toContain(name);
    expect(tasksOf(failed).failed).toEqual([
      {
        ...{ url: expect.stringContaining(large.digest), hostname: full.name, ip: '127.0.0.1' },
        description: expect.stringMatching(/space|room|disk/i),
      },
    ]);
    expect(tasksOf(failed).done).toHaveLength(7);
    expect(failed.result?.job_states[0]?.error).toBe(failed.error);
    expect((await brought()) - before).toBe(7);

    await disk.release();
    own.origin.log.clear();
    await plane.retry(id);
    const ended = await plane.ended(id);
    expect([ended.state, ended.error]).toEqual(['SUCCESS', null]);
    expect([tasksOf(ended).done.length, tasksOf(ended).failed]).toEqual([8, []]);
    expect((await brought()) - before).toBe(8);
    // The other daemon has had it all the time.
    expect(blobGets(own).map(({ path }) => path)).toEqual([]);
  });

  it('take a job in at once whose registry does not answer, and end it with its time', async () => {
    await using silent = await startSilentServer();
    const url = `http://127.0.0.1:${silent.port}/v2/test/app/manifests/v1`;
    const began = performance.now();
    // As Harbor asks, which hangs up after 30 seconds.
    const id = await ask({ type: 'image', url, scope: '', timeout: 3e9 });
    expect(performance.now() - began).toBeLessThan(HARBOR_TIMEOUT_MS / 2);
    await silent.isAsked;
    expect(await plane.job(id)).toMatchObject({ state: 'PENDING', error: null });
    expect(await plane.ended(id)).toMatchObject({ state: 'FAILURE', error: 'the job took longer than it may' });
  });

  it(
    `end every job right while workers, managers and Redis are killed at random, ${KILLS} times each`,
    async () => {
      const seeded = killSeed();
      const { workers, managers, redis } = plane;
      if (redis === undefined) throw new Error('a Redis was asked for');
      using _slow = bench.origin.inject({ path: /\/blobs\//, method: 'GET', fault: { bytesPerSec: MIB } });
      const images: PublishedImage[] = [];
      const ids: number[] = [];
      const began = performance.now();
      const kills: string[] = [];
      const stop = new AbortController();
      const kill = (name: string, kind: readonly Killable[]): Promise<void> =>
        killNowAndThen(kind, KILLS, seeded(name), {
          signal: stop.signal,
          onKill: (victims) => kills.push(`${Math.round(performance.now() - began)} ms: ${victims.join(', ')}`),
        });
      let isOver = false;
      const isUnderWay = Promise.withResolvers<void>();
      const nodesOf = (kind: readonly { readonly node: Killable }[]) => kind.map(({ node }) => node);
      const killAll = async (): Promise<void> => {
        await isUnderWay.promise;
        await Promise.all([
          kill('workers', nodesOf(workers)),
          kill('managers', nodesOf(managers)),
          kill('redis', [{ name: 'redis', kill: () => redis.kill(), start: () => redis.restart() }]),
        ]);
      };
      const killing = killAll().finally(() => (isOver = true));

      /** One preheat after the other, each asked of either manager until it answers: with its key it is the same job then, too. */
      const preheatOnAndOn = async (caller: string): Promise<void> => {
        const random = seeded(caller);
        const manager = () => Math.floor(random() * managers.length);
        do {
          const tag = `${caller}-${images.length}`;
          const image = await publish(tag);
          const body = askFor(bench, tag, { idempotency_key: tag });
          const id = await eventually(() => ask(body, manager()), { timeoutMs: MOST_WAIT_MS });
          images.push(image);
          ids.push(id);
          isUnderWay.resolve();
          expectSuccess(await plane.ended(id, { manager: manager(), timeoutMs: MOST_WAIT_MS }));
        } while (!isOver);
      };
      try {
        await Promise.all([killing, preheatOnAndOn('first'), preheatOnAndOn('second')]);
        // None lost, none doubled.
        expect(new Set(ids).size).toBe(images.length);
        const listed = await plane.jobs();
        expect(listed.filter(({ id }) => id >= Math.min(...ids)).map(({ id, state }) => [id, state])).toEqual(
          ids.toSorted((a, b) => b - a).map((id) => [id, 'SUCCESS']),
        );
        for (const { layout } of images) expectEveryByteOnce(bench.origin, blobsOf(layout));
        for (const image of images) await expectIsThere(image);
        process.stdout.write(`${images.length} jobs through ${kills.length} kills\n`);
      } catch (error) {
        throw new Error(`after kills at\n${kills.join('\n')}`, { cause: error });
      } finally {
        // Nobody is killed in the next test.
        stop.abort();
        isUnderWay.resolve();
        await Promise.allSettled([killing]);
      }
    },
    FULL ? 900_000 : 240_000,
  );
});

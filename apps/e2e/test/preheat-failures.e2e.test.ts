import { setTimeout as delay } from 'node:timers/promises';
import { blobsOf, smallDisk } from '@d7y/testkit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectEveryByteOnce, type PublishedImage, type PullBench, startPullBench } from './_cluster.ts';
import { type ControlPlane, type JobAnswer, startControlPlane } from './_control-plane.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const NANOSECONDS_OF_AN_HOUR = 3.6e12;

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

describe('a layer for which one node has no room', () => {
  it('fails the job, which names layer, node and reason; a retry brings only what is missing', async () => {
    await using disk = await smallDisk(48 * MIB);
    await using plane = await startControlPlane({ queue: 'redis' });
    await using bench = await startPullBench({ daemons: 1, schedulerConfig: plane.schedulerConfig() });
    const full = await bench.cluster.addDaemon({
      storage: { dir: `${disk.path}/storage` },
      gc: { policy: { diskHighThresholdPercent: 99, diskLowThresholdPercent: 98 } },
    });
    const worker = await plane.startWorker();
    await plane.knows(bench.cluster);
    const image = await bench.publish({ tag: 'v1', layerBytes: [5 * KIB, MIB, 20 * MIB] });
    const large = blobsOf(image.layout).reduce((a, b) => (a.size > b.size ? a : b));
    await disk.fill(10 * MIB);

    // One after the other, so that the large one takes no room from the others.
    const id = await plane.preheat(askFor(bench, 'v1', { concurrent_task_count: 1 }));
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
    expect(await worker.targets('succeeded')).toBe(7);

    await disk.release();
    bench.origin.log.clear();
    await plane.retry(id);
    const ended = await plane.ended(id);
    expect([ended.state, ended.error]).toEqual(['SUCCESS', null]);
    expect([tasksOf(ended).done.length, tasksOf(ended).failed]).toEqual([8, []]);
    expect(await worker.targets('succeeded')).toBe(8);
    // The other daemon has had it all the time.
    expect(blobGets(bench).map(({ path }) => path)).toEqual([]);
  });
});

describe('two managers and two workers on one database and one Redis', () => {
  let plane: ControlPlane;
  let bench: PullBench;

  beforeAll(async () => {
    plane = await startControlPlane({ queue: 'redis', managers: 2 });
    bench = await startPullBench({ daemons: 2, schedulerConfig: plane.schedulerConfig() });
    await plane.startWorker();
    await plane.startWorker();
    await plane.knows(bench.cluster);
  });

  afterAll(async () => {
    await bench[Symbol.asyncDispose]();
    await plane[Symbol.asyncDispose]();
  });

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
    const ids = await Promise.all(
      tags.flatMap((tag) => [0, 1].map((manager) => plane.preheat(askFor(bench, tag), { manager }))),
    );
    expect(new Set(ids).size).toBe(tags.length);
    for (const id of ids) {
      expectSuccess(await plane.ended(id, { manager: 1 }));
      expectSuccess(await plane.ended(id, { manager: 0 }));
    }
    for (const { layout } of images) expectEveryByteOnce(bench.origin, blobsOf(layout));
  });

  /** The first piece of 4 MiB alone takes longer at 1 MiB a second. */
  const MOST_MS = 2_000;

  /** Has an image preheated that takes some seconds, and does `harm` at some moment of them. */
  async function preheatThrough(tag: string, harm: () => Promise<void>): Promise<void> {
    const image = await publish(tag);
    const id = await (async () => {
      using _slow = bench.origin.inject({ path: /\/blobs\//, method: 'GET', fault: { bytesPerSec: MIB } });
      const asked = await plane.preheat(askFor(bench, tag));
      await delay(Math.random() * MOST_MS);
      expect((await plane.job(asked)).state).toBe('PENDING');
      await harm();
      expectSuccess(await plane.ended(asked, { timeoutMs: 90_000 }));
      return asked;
    })();
    expectSuccess(await plane.job(id, 1));
    await expectIsThere(image);
  }

  it('survive kill -9 of both workers in mid-job, and another one goes on', async () => {
    await preheatThrough('workers', async () => {
      await Promise.all(plane.workers.map(({ node }) => node.kill()));
      await plane.workers[0]?.node.start();
    });
  });

  it('survive kill -9 of both managers in mid-job', async () => {
    await preheatThrough('managers', async () => {
      await Promise.all(plane.managers.map(({ node }) => node.kill()));
      await Promise.all(plane.managers.map(({ node }) => node.start()));
    });
  });

  it('survive kill -9 of Redis in mid-job, with what it had written down', async () => {
    await preheatThrough('redis', async () => {
      await plane.redis?.kill();
      await plane.redis?.restart();
    });
  });
});

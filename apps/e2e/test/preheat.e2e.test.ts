import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  blobsOf,
  type Cluster,
  containerdContent,
  type Credentials,
  ctrPull,
  eventually,
  type OtlpReceiver,
  type RegistryOptions,
  run,
  startCluster,
  startOtlpReceiver,
  startTokenServer,
} from '@d7y/testkit';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expectHolds, type PublishedImage, type PullBench, startPullBench } from './_cluster.ts';
import { type ControlPlane, type JobAnswer, PLANTED, startControlPlane } from './_control-plane.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const ACCOUNT: Credentials = { username: 'robot', password: `${PLANTED}-password` };
const LAYERS = [5 * KIB, 3 * MIB, 9 * MIB];
/** A configuration and the layers. */
const FILES = LAYERS.length + 1;

interface Way {
  readonly name: string;
  readonly registry: RegistryOptions;
  readonly credentials?: Credentials;
}

/** Has an image for two platforms preheated onto three daemons. */
async function preheated(plane: ControlPlane, bench: PullBench, { name, credentials }: Way) {
  await plane.knows(bench.cluster);
  const image = await bench.publish({
    ...{ tag: 'v1', seed: name, architectures: ['amd64', 'arm64'], layerBytes: LAYERS },
    ...(credentials !== undefined && { credentials }),
  });
  const url = `${bench.origin.url}/v2/test/app/manifests/v1`;
  const asked = { type: 'image', url, scope: 'all_peers', platform: 'linux/amd64', ...credentials };
  const job = await plane.ended(await plane.preheat(asked));
  return { image, job };
}

function expectSuccess(job: JobAnswer): void {
  expect({ state: job.state, error: job.error, progress: job.progress }).toEqual({
    ...{ state: 'SUCCESS', error: null },
    progress: { layers_total: FILES, layers_done: FILES, peers_total: 3, peers_done: 3 },
  });
  const [result] = job.result?.job_states[0]?.results ?? [];
  expect([result?.success_tasks.length, result?.failure_tasks]).toEqual([3 * FILES, []]);
}

/** Pulls it on every node; no byte of a blob may come from the registry. */
async function expectPullsAskForNothing(bench: PullBench, image: PublishedImage, credentials?: Credentials) {
  const digests = blobsOf(image.layout, 'amd64').map(({ digest }) => digest);
  bench.origin.log.clear();
  const pull = async (daemon: (typeof bench.cluster.daemons)[number]): Promise<void> => {
    await using node = await bench.containerd(daemon);
    await ctrPull(node, image.name, credentials === undefined ? {} : { credentials });
    expectHolds(await containerdContent(node), image);
  };
  await Promise.all(bench.cluster.daemons.map(pull));
  const gets = bench.origin.log.requests.filter(
    ({ method, path }) => method === 'GET' && digests.some((digest) => path.includes(digest)),
  );
  expect(gets.map(({ path }) => path)).toEqual([]);
}

function expectNothingShown(plane: ControlPlane, bench: PullBench, secrets: readonly string[] = []): void {
  const { nodes } = bench.cluster;
  const lines = [...plane.managers, ...plane.workers].flatMap(({ node }) => node.lines);
  expect(lines.length).toBeGreaterThan(0);
  const shown = [...plane.answers, ...lines, ...nodes.flatMap((node) => node.lines)];
  const isSecret = (text: string) => [ACCOUNT.password, ...secrets].some((secret) => text.includes(secret));
  expect(shown.filter(isSecret)).toEqual([]);
}

describe('with the queue in Redis, a pull after a preheat asks the origin for no blob', () => {
  let traces: OtlpReceiver;
  let plane: ControlPlane;
  let cluster: Cluster;

  beforeAll(async () => {
    traces = await startOtlpReceiver();
    plane = await startControlPlane({ queue: 'redis', traces });
    [cluster] = await Promise.all([
      startCluster({ traces, schedulerConfig: plane.schedulerConfig() }),
      plane.startWorker(),
    ]);
  });

  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
    await plane[Symbol.asyncDispose]();
    await traces[Symbol.asyncDispose]();
  });

  /** A registry for the cluster of all tests, which outlives it. */
  const benchOf = ({ registry }: Way): Promise<PullBench> =>
    startPullBench({
      registry,
      start: () => Promise.resolve({ ...cluster, [Symbol.asyncDispose]: () => Promise.resolve() }),
    });

  it('from an open registry; one trace leads from the request to the origin', async () => {
    const way: Way = { name: 'open', registry: {} };
    await using bench = await benchOf(way);
    const { image, job } = await preheated(plane, bench, way);
    expectSuccess(job);
    const asked = bench.origin.log.requests.filter(({ method, path }) => method === 'GET' && path.includes('/blobs/'));
    expect(asked.length).toBeGreaterThanOrEqual(FILES);
    await expectPullsAskForNothing(bench, image);

    await eventually(
      () => {
        const [traceId = '', ...more] = traces.search(
          ({ service, name, attributes }) =>
            service === 'preheat-worker' && name === 'preheat' && attributes['d7y.job.id'] === job.id,
        );
        expect(more).toEqual([]);
        const spans = traces.trace(traceId);
        const roots = spans.filter(({ parentSpanId }) => parentSpanId === '');
        expect(roots.map(({ service }) => service)).toEqual(['manager']);
        expect(traces.tree(traceId)).toHaveLength(1);
        // Of daemons: what each layer cost the registry lies in the trace of the request that brought it.
        const fetched = spans.filter(
          ({ service, name }) => name === 'origin GET' && /^(dfdaemon|seed-peer)-/.test(service),
        );
        expect(new Set(fetched.map(({ attributes }) => attributes['url.path']))).toEqual(
          new Set(blobsOf(image.layout, 'amd64').map(({ digest }) => `/v2/test/app/blobs/${digest}`)),
        );
      },
      { timeoutMs: 60_000 },
    );
  });

  it('from a registry with passwords, which are nowhere to be read', async () => {
    const way: Way = { name: 'basic', registry: { auth: ACCOUNT }, credentials: ACCOUNT };
    await using bench = await benchOf(way);
    const { image, job } = await preheated(plane, bench, way);
    expectSuccess(job);
    await expectPullsAskForNothing(bench, image, ACCOUNT);
    expectNothingShown(plane, bench);
    expect(traces.bodies.filter((body) => body.includes(ACCOUNT.password))).toEqual([]);

    // All that Redis holds, as it would write it down.
    const dump = join(bench.scratch, 'queue.rdb');
    const redis = ['-p', String(plane.redis?.port)];
    await run('redis-cli', [...redis, 'config', 'set', 'rdbcompression', 'no']);
    await run('redis-cli', [...redis, '--rdb', dump]);
    const held = await readFile(dump);
    expect(held.includes(`job-${job.id}-`)).toBe(true);
    expect(held.includes(PLANTED)).toBe(false);
  });

  it('from a registry with Bearer tokens, which are nowhere to be read', async () => {
    await using token = await startTokenServer({ credentials: ACCOUNT });
    const way: Way = { name: 'bearer', registry: { token }, credentials: ACCOUNT };
    await using bench = await benchOf(way);
    const { image, job } = await preheated(plane, bench, way);
    expectSuccess(job);
    await expectPullsAskForNothing(bench, image, ACCOUNT);
    expect(token.issuedTokens.length).toBeGreaterThan(0);
    expectNothingShown(plane, bench, token.issuedTokens);
  });
});

describe('with the queue in PostgreSQL, a pull after a preheat asks the origin for no blob', () => {
  it('from a registry with certificates of an own authority', async () => {
    await using plane = await startControlPlane({ queue: 'postgres' });
    const way: Way = { name: 'authority', registry: { tls: true } };
    await using bench = await startPullBench({ registry: way.registry, schedulerConfig: plane.schedulerConfig() });
    await plane.startWorker({ preheat: { tls: { caCert: bench.registry.certificate?.ca } } });
    const { image, job } = await preheated(plane, bench, way);
    expectSuccess(job);
    await expectPullsAskForNothing(bench, image);
  });
});

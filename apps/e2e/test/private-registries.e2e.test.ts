import { createHash } from 'node:crypto';
import { request as requestHttp } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { taskIdOf } from '@d7y/piece';
import { describe, expect, it } from '@jest/globals';
import {
  blobsOf,
  type Containerd,
  containerdContent,
  type Credentials,
  ctrPull,
  type DaemonNode,
  eventually,
  type OtlpReceiver,
  type RegistryOptions,
  startOtlpReceiver,
  startTokenServer,
  type TokenServer,
} from '@d7y/testkit';
import { expectEveryByteOnce, expectHolds, type PublishedImage, type PullBench, startPullBench } from './_cluster.ts';
import { expectNowhere, placesOf, placesWith, plantCredentials } from './_planted.ts';
import { startTappedCluster, type TappedCluster } from './_tapped-cluster.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const LAYERS = [5 * KIB, 3 * MIB, 14 * MIB];

interface Rig extends AsyncDisposable {
  readonly bench: PullBench<TappedCluster>;
  readonly traces: OtlpReceiver;
  readonly nodes: readonly Containerd[];
}

/** Three daemons, each with a containerd, that talk as much as they can. */
async function startRig(registry: RegistryOptions): Promise<Rig> {
  await using stack = new AsyncDisposableStack();
  const traces = stack.use(await startOtlpReceiver());
  const bench = stack.use(
    await startPullBench({
      registry,
      start: startTappedCluster,
      traces,
      daemonConfig: { verbose: true },
      schedulerConfig: { verbose: true },
    }),
  );
  const nodes = await Promise.all(bench.cluster.daemons.map((daemon) => bench.containerd(daemon)));
  const resources = stack.move();
  return { bench, traces, nodes, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

async function pullEverywhere({ bench, nodes }: Rig, image: PublishedImage, credentials?: Credentials): Promise<void> {
  bench.origin.log.clear();
  await Promise.all(nodes.map((node) => ctrPull(node, image.name, credentials === undefined ? {} : { credentials })));
  for (const node of nodes) expectHolds(await containerdContent(node), image);
  expectEveryByteOnce(bench.origin, blobsOf(image.layout));
}

interface Answer {
  readonly status: number;
  readonly challenge: string | undefined;
  readonly body: Buffer;
}

/** Asks a daemon for a blob as a container runtime does. */
function askForBlob(
  daemon: DaemonNode,
  { registry, repository, digest }: { registry: string; repository: string; digest: string },
  authorization?: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    requestHttp(
      `${daemon.proxyUrl}/v2/${repository}/blobs/${digest}?ns=${encodeURIComponent(new URL(registry).host)}`,
      {
        agent: false,
        headers: { 'X-Dragonfly-Registry': registry, ...(authorization !== undefined && { authorization }) },
      },
      (response) => {
        buffer(response).then(
          (body) =>
            resolve({ status: response.statusCode ?? 0, challenge: response.headers['www-authenticate'], body }),
          reject,
        );
      },
    )
      .once('error', reject)
      .end();
  });
}

/** Of a blob that not everybody may have: it is one blob of one repository, not whatever has its digest. */
function privateTaskId({
  registry,
  repository,
  digest,
}: {
  registry: string;
  repository: string;
  digest: string;
}): string {
  return taskIdOf({ url: `${registry}/v2/${repository}/blobs/${digest}` });
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** Asks the token service itself, as a container runtime does. */
async function tokenFor(tokens: TokenServer, repository: string, credentials: Credentials): Promise<string> {
  const url = `${tokens.realm}?service=${tokens.service}&scope=repository:${repository}:pull`;
  const answer = await fetch(url, { headers: { authorization: basic(credentials) } });
  return ((await answer.json()) as { token: string }).token;
}

/** Spans leave in batches, so the traces are complete only a moment after the pull. */
async function placesAfterExport({ bench, traces }: Rig, taskId: string) {
  await eventually(() => {
    const services = new Set(traces.spans.map(({ resource }) => String(resource['host.name'])));
    for (const { name } of bench.cluster.daemons) expect([...services]).toContain(name);
  });
  const places = await placesOf(bench.cluster, traces);
  // What is looked for below would be found: the id of a task, which is no secret, is in all of these.
  expect(placesWith(places, taskId)).toEqual(
    expect.arrayContaining([
      'log of daemon-0',
      'records of daemon-0',
      'traces',
      'messages with the scheduler',
      'messages between daemons',
      'piece transfers',
    ]),
  );
  expect(placesWith(places, 'traceparent')).toEqual(
    expect.arrayContaining(['messages with the scheduler', 'messages between daemons']),
  );
  return places;
}

function largestBlob({ layout }: PublishedImage): string {
  return [...blobsOf(layout)].sort((a, b) => b.size - a.size)[0]?.digest ?? '';
}

describe('a registry with basic authentication', () => {
  it('is pulled from by three nodes at once, keeps its secret, and lends nothing to strangers', async () => {
    const credentials = plantCredentials();
    await using rig = await startRig({ auth: credentials });
    const { bench } = rig;
    const image = await bench.publish({ tag: 'basic', layerBytes: LAYERS, credentials });
    await pullEverywhere(rig, image, credentials);

    const blob = { registry: bench.origin.url, repository: 'test/app', digest: largestBlob(image) };
    const size = blobsOf(image.layout).find(({ digest }) => digest === blob.digest)?.size ?? 0;
    for (const daemon of [...bench.cluster.daemons, ...bench.cluster.seeds]) {
      const stranger = await askForBlob(daemon, blob);
      expect(stranger.status).toBe(401);
      expect(stranger.challenge).toMatch(/^Basic /);
      expect(stranger.body.length).toBeLessThan(2000);
      const impostor = await askForBlob(daemon, blob, basic({ ...credentials, password: 'guessed' }));
      expect(impostor.status).toBe(401);
    }
    for (const daemon of bench.cluster.daemons) {
      const owner = await askForBlob(daemon, blob, basic(credentials));
      expect({ status: owner.status, bytes: owner.body.length }).toEqual({ status: 200, bytes: size });
      expect(sha256(owner.body)).toBe(blob.digest);
    }
    expectEveryByteOnce(bench.origin, blobsOf(image.layout));
    const places = await placesAfterExport(rig, privateTaskId(blob));
    // A seed could not fetch it without the credentials, so none was asked to.
    expect(placesWith(places, privateTaskId(blob))).not.toContain('records of seed-0');
    expectNowhere(places, [credentials.password, `${credentials.username}:${credentials.password}`, 'guessed']);
  });
});

describe('a registry with Bearer tokens', () => {
  it('is pulled from with tokens, which nobody else sees, and whoever may read another repository gets nothing', async () => {
    const credentials = plantCredentials();
    await using tokens = await startTokenServer({ credentials });
    await using rig = await startRig({ token: tokens });
    const { bench } = rig;
    const image = await bench.publish({ tag: 'bearer', layerBytes: LAYERS, credentials });
    const other = await bench.publish({ tag: 'other', layerBytes: [7000], credentials, repository: 'other/app' });
    await pullEverywhere(rig, image, credentials);

    const registry = bench.origin.url;
    const blob = { registry, repository: 'test/app', digest: largestBlob(image) };
    const elsewhere = `Bearer ${await tokenFor(tokens, 'other/app', credentials)}`;
    for (const daemon of bench.cluster.daemons) {
      const stranger = await askForBlob(daemon, blob);
      expect(stranger.status).toBe(401);
      expect(stranger.challenge).toMatch(/^Bearer /);
      // A token for another repository, used where it is meant for and where it is not.
      expect((await askForBlob(daemon, blob, elsewhere)).status).toBe(401);
      expect((await askForBlob(daemon, { ...blob, repository: 'other/app' }, elsewhere)).status).toBe(404);
      const own = { registry, repository: 'other/app', digest: largestBlob(other) };
      const served = await askForBlob(daemon, own, elsewhere);
      expect(served.status).toBe(200);
      expect(sha256(served.body)).toBe(own.digest);
    }
    expectEveryByteOnce(bench.origin, blobsOf(image.layout));
    const places = await placesAfterExport(rig, privateTaskId(blob));
    expect(tokens.issuedTokens.length).toBeGreaterThan(0);
    // The signature alone would do: the rest of a token can be made by anybody.
    const signatures = tokens.issuedTokens.map((token) => token.slice(token.lastIndexOf('.') + 1));
    expectNowhere(places, [credentials.password, ...tokens.issuedTokens, ...signatures]);
  });

  it('is pulled from without credentials where it issues tokens to anybody', async () => {
    const credentials = plantCredentials();
    await using tokens = await startTokenServer({ credentials, anonymous: true });
    await using rig = await startRig({ token: tokens });
    const { bench } = rig;
    const image = await bench.publish({ tag: 'public', layerBytes: LAYERS, credentials });
    const issuedBefore = tokens.issuedTokens.length;
    await pullEverywhere(rig, image);
    const issued = tokens.issuedTokens.slice(issuedBefore);
    expect(tokens.requests.slice(issuedBefore).every(({ account }) => account === '')).toBe(true);
    // Public, so a seed may fetch it: nobody's own token is needed.
    const places = await placesAfterExport(rig, largestBlob(image).replace('sha256:', ''));
    expect(placesWith(places, largestBlob(image).replace('sha256:', ''))).toContain('records of seed-0');
    expectNowhere(
      places,
      issued.map((token) => token.slice(token.lastIndexOf('.') + 1)),
    );
  });
});

describe('a registry with TLS under an authority of its own', () => {
  it('is pulled from by daemons that were told to trust it', async () => {
    await using bench = await startPullBench({ registry: { tls: true } });
    const nodes = await Promise.all(bench.cluster.daemons.map((daemon) => bench.containerd(daemon)));
    const image = await bench.publish({ tag: 'tls', layerBytes: LAYERS });
    bench.origin.log.clear();
    await Promise.all(nodes.map((node) => ctrPull(node, image.name)));
    for (const node of nodes) expectHolds(await containerdContent(node), image);
    expectEveryByteOnce(bench.origin, blobsOf(image.layout));
  });

  it('weakness 4: is refused, not trusted blindly, by a daemon that was not told', async () => {
    await using bench = await startPullBench({
      registry: { tls: true },
      daemons: 1,
      seeds: 0,
      daemonConfig: { proxy: { registries: [] } },
    });
    const [daemon] = bench.cluster.daemons;
    if (daemon === undefined) throw new Error('a cluster of one daemon has one');
    const image = await bench.publish({ tag: 'tls', layerBytes: [7000] });
    bench.origin.log.clear();
    const blob = { registry: bench.origin.url, repository: 'test/app', digest: largestBlob(image) };
    const answer = await askForBlob(daemon, blob);
    expect(answer.status).toBe(502);
    expect(answer.body.toString()).toContain('certificate');
    expect(bench.origin.log.requests).toEqual([]);
  });
});

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import {
  blobsOf,
  containerdContent,
  ctrPull,
  type DaemonNode,
  directoryContent,
  emptyContainerd,
  eventually,
  skopeoCopy,
  startTokenServer,
  writeRegistriesConf,
} from '@d7y/testkit';
import { expectEveryByteOnce, expectHolds, type PublishedImage, type PullBench, startPullBench } from './_cluster.ts';
import { plantCredentials } from './_planted.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const LAYERS = [5 * KIB, 3 * MIB];

const at = <T>(list: readonly T[], index: number): T => {
  const item = list[index];
  if (item === undefined) throw new Error(`there are only ${list.length}`);
  return item;
};

/** Neither the registry nor what stands before it takes a connection any more. */
async function stopRegistry({ origin, registry }: PullBench): Promise<void> {
  await origin[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
}

/** Copies with skopeo through a daemon, into a folder of its own. */
async function expectSkopeoCopies(
  bench: PullBench,
  daemon: DaemonNode,
  { name, layout }: PublishedImage,
  folder: string,
  credentials?: { username: string; password: string },
): Promise<void> {
  const registriesConf = await writeRegistriesConf(bench.scratch, {
    registry: bench.origin.host,
    mirror: daemon.proxyHost,
  });
  const directory = join(bench.scratch, folder);
  // What skopeo is given on its command line it keeps from mirrors.
  const authFile = join(bench.scratch, 'auth.json');
  const { username = '', password = '' } = credentials ?? {};
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  await writeFile(
    authFile,
    JSON.stringify({ auths: credentials === undefined ? {} : { [daemon.proxyHost]: { auth } } }),
  );
  await skopeoCopy(name, directory, { registriesConf, env: { REGISTRY_AUTH_FILE: authFile } });
  expect(Object.fromEntries(await directoryContent(directory))).toMatchObject(
    Object.fromEntries(blobsOf(layout).map(({ digest, size }) => [digest, size])),
  );
}

describe('manifests', () => {
  it('leave the registry once for the whole cluster, with one HEAD for each node and tag', async () => {
    await using bench = await startPullBench({ daemons: 3 });
    const image = await bench.publish({ tag: 'once', layerBytes: LAYERS });
    const nodes = await Promise.all(bench.cluster.daemons.map((daemon) => bench.containerd(daemon)));
    bench.origin.log.clear();
    await Promise.all(nodes.map((node) => ctrPull(node, image.name)));
    for (const node of nodes) expectHolds(await containerdContent(node), image);
    const asked = bench.origin.log.requests.filter(({ path }) => path.includes('/manifests/'));
    expect(asked.filter(({ method }) => method === 'GET')).toHaveLength(1);
    expect(asked.filter(({ method, path }) => method === 'HEAD' && path.endsWith('/once'))).toHaveLength(3);
    expectEveryByteOnce(bench.origin, blobsOf(image.layout));
  });
});

describe('with the registry stopped', () => {
  it('a public image that one node pulled is pulled by tag on every node, by containerd and skopeo', async () => {
    await using bench = await startPullBench({ daemons: 2 });
    const [first, second] = [at(bench.cluster.daemons, 0), at(bench.cluster.daemons, 1)];
    const image = await bench.publish({ tag: 'kept', layerBytes: LAYERS });
    const before = await bench.containerd(first);
    await ctrPull(before, image.name);
    await stopRegistry(bench);

    await emptyContainerd(before);
    await ctrPull(before, image.name);
    expectHolds(await containerdContent(before), image);
    // This one has never heard of the image.
    const stranger = await bench.containerd(second);
    await ctrPull(stranger, image.name);
    expectHolds(await containerdContent(stranger), image);
    await expectSkopeoCopies(bench, second, image, 'skopeo');
  });

  it('a public image that asks everybody for a token is pulled after a restart of its daemon, with and without one', async () => {
    const credentials = plantCredentials();
    await using tokens = await startTokenServer({ credentials, anonymous: true });
    await using bench = await startPullBench({ registry: { token: tokens }, daemons: 1 });
    const daemon = at(bench.cluster.daemons, 0);
    const image = await bench.publish({ tag: 'token', layerBytes: LAYERS, credentials });
    await expectSkopeoCopies(bench, daemon, image, 'before', credentials);
    await daemon.kill('SIGTERM');
    await stopRegistry(bench);
    await daemon.start();
    await expectSkopeoCopies(bench, daemon, image, 'after');
    const node = await bench.containerd(daemon);
    await ctrPull(node, image.name);
    expectHolds(await containerdContent(node), image);
  });

  it('a private image is pulled by who was accepted, on the node where that was so, and by nobody else', async () => {
    const credentials = plantCredentials();
    await using bench = await startPullBench({ registry: { auth: credentials }, daemons: 2 });
    const [first, second] = [at(bench.cluster.daemons, 0), at(bench.cluster.daemons, 1)];
    const image = await bench.publish({ tag: 'private', layerBytes: LAYERS, credentials });
    const node = await bench.containerd(first);
    await ctrPull(node, image.name, { credentials });
    await stopRegistry(bench);

    await emptyContainerd(node);
    await ctrPull(node, image.name, { credentials });
    expectHolds(await containerdContent(node), image);
    await expectSkopeoCopies(bench, first, image, 'own', credentials);
    await emptyContainerd(node);
    await expect(ctrPull(node, image.name)).rejects.toThrow();
    await expect(ctrPull(node, image.name, { credentials: { ...credentials, password: 'guessed' } })).rejects.toThrow();
    const elsewhere = await bench.containerd(second);
    await expect(ctrPull(elsewhere, image.name, { credentials })).rejects.toThrow();
  });

  it('an image that only the node itself may read is pulled by clients without credentials, on that node alone', async () => {
    const credentials = plantCredentials();
    await using tokens = await startTokenServer({ credentials });
    await using bench = await startPullBench({ registry: { token: tokens }, daemons: 0 });
    const image = await bench.publish({ tag: 'robot', layerBytes: LAYERS, credentials });
    const daemon = await bench.cluster.addDaemon({
      proxy: { registries: [{ url: bench.origin.url, ...credentials }] },
    });
    const poor = await bench.cluster.addDaemon();
    const node = await bench.containerd(daemon);
    await ctrPull(node, image.name);
    expectHolds(await containerdContent(node), image);
    await expectSkopeoCopies(bench, daemon, image, 'robot-copy');
    expectEveryByteOnce(bench.origin, blobsOf(image.layout));
    const stranger = await bench.containerd(poor);
    await expect(ctrPull(stranger, image.name)).rejects.toThrow();

    await stopRegistry(bench);
    await emptyContainerd(node);
    await ctrPull(node, image.name);
    expectHolds(await containerdContent(node), image);
    await expect(ctrPull(stranger, image.name)).rejects.toThrow();
    await eventually(() => expect(tokens.requests.some(({ account }) => account === credentials.username)).toBe(true));
  });
});

// The rig itself, without any daemon of ours: what fails here is the machine or the helpers, not the system under test.
import { statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  blobsOf,
  containerdContent,
  criPull,
  ctrPull,
  directoryContent,
  emptyContainerd,
  type ImageLayout,
  makeImage,
  podmanPull,
  podmanStorage,
  pushImage,
  type RegistryOptions,
  skopeoCopy,
  smallDisk,
  startContainerd,
  startCluster,
  startCountingProxy,
  startRegistry,
  startTokenServer,
  tempDir,
  type TempDir,
  writeHostsToml,
  writeRegistriesConf,
} from '@d7y/testkit';
import { expectEveryByteOnce, expectHolds } from './_cluster.ts';

const CREDENTIALS = { username: 'test', password: 's3cret' };
let scratch: TempDir;
let image: ImageLayout;

beforeAll(async () => {
  scratch = await tempDir('d7y-rig');
  const layerBytes = [5000, 2_000_000, 300_000];
  image = await makeImage({
    dir: join(scratch.path, 'image'),
    layerBytes,
    architectures: ['amd64', 'arm64'],
    tag: 'v1',
  });
});

afterAll(async () => {
  await scratch[Symbol.asyncDispose]();
});

/** A registry with the image in it, behind a counting proxy. */
async function startOrigin(options: RegistryOptions = {}) {
  await using stack = new AsyncDisposableStack();
  const registry = stack.use(await startRegistry(options));
  await pushImage(image, registry, options.auth || options.token ? { credentials: CREDENTIALS } : {});
  const { certificate } = registry;
  const proxy = stack.use(
    await startCountingProxy({
      upstream: registry.url,
      ...(certificate && { upstreamCa: certificate.ca, tls: certificate }),
    }),
  );
  const resources = stack.move();
  return { registry, proxy, name: `${proxy.host}/test/app:v1`, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

describe('containerd', () => {
  it('pulls with ctr, and the proxy sees every byte once', async () => {
    await using origin = await startOrigin();
    await using node = await startContainerd();
    await ctrPull(node, origin.name);
    expectHolds(await containerdContent(node), { layout: image, name: origin.name });
    expectEveryByteOnce(origin.proxy, blobsOf(image));
    expect(origin.proxy.log.blobRequests(blobsOf(image, 'arm64')[1]?.digest)).toHaveLength(0);
  });

  it('pulls as a kubelet does, and again after it was emptied', async () => {
    await using origin = await startOrigin();
    await using node = await startContainerd({ cri: true });
    expect(await criPull(node, origin.name)).toBe(blobsOf(image)[0]?.digest);
    await emptyContainerd(node);
    expect((await containerdContent(node)).size).toBe(0);
    origin.proxy.log.clear();
    await criPull(node, origin.name);
    expectEveryByteOnce(origin.proxy, blobsOf(image));
  });

  it('resumes a cut blob by range, and the bytes still add up to once', async () => {
    await using origin = await startOrigin();
    await using node = await startContainerd();
    const [, , layer] = blobsOf(image);
    using cut = origin.proxy.inject({
      path: new RegExp(layer?.digest ?? ''),
      times: 1,
      fault: { cutAfterBytes: 700_000 },
    });
    await ctrPull(node, origin.name);
    expect(cut.met).toBe(1);
    expect(origin.proxy.log.blobRequests(layer?.digest)).toHaveLength(2);
    expectEveryByteOnce(origin.proxy, blobsOf(image));
  });

  it('asks the mirror of its hosts file first and the registry when the mirror refuses', async () => {
    await using origin = await startOrigin();
    await using mirror = await startCountingProxy({ upstream: origin.registry.url });
    await using node = await startContainerd();
    await writeHostsToml({
      certsDir: node.certsDir,
      registry: origin.proxy.host,
      server: origin.proxy.url,
      mirrors: [{ url: mirror.url, headers: { 'X-Test': 'yes' } }],
    });
    using _blocked = mirror.blockBlobs();
    await ctrPull(node, origin.name);
    expect(mirror.log.requests[0]).toMatchObject({
      method: 'HEAD',
      query: `?ns=${encodeURIComponent(origin.proxy.host)}`,
    });
    expectEveryByteOnce(origin.proxy, blobsOf(image));
  });
});

describe('skopeo and podman', () => {
  it('pull through a mirror', async () => {
    await using origin = await startOrigin();
    await using mirror = await startCountingProxy({ upstream: origin.registry.url });
    const registriesConf = await writeRegistriesConf(join(scratch.path, 'conf'), {
      registry: origin.proxy.host,
      mirror: mirror.host,
    });
    const copied = join(scratch.path, 'copy');
    await skopeoCopy(origin.name, copied, { registriesConf });
    const digests = [...(await directoryContent(copied)).keys()];
    expect(digests).toEqual(expect.arrayContaining(blobsOf(image).map((blob) => blob.digest)));
    await using storage = await podmanStorage();
    const id = await podmanPull(storage, origin.name, { registriesConf });
    expect(`sha256:${id}`).toBe(blobsOf(image)[0]?.digest);
    expect(mirror.log.blobRequests()).toHaveLength(2 * blobsOf(image).length);
    expect(origin.proxy.log.requests).toHaveLength(0);
  });
});

describe('registries with locks', () => {
  it('asks for basic credentials', async () => {
    await using origin = await startOrigin({ auth: CREDENTIALS });
    await using node = await startContainerd();
    await expect(ctrPull(node, origin.name)).rejects.toThrow('401');
    await ctrPull(node, origin.name, { credentials: CREDENTIALS });
    expect(origin.proxy.log.blobRequests().every((entry) => entry.authorization === 'Basic')).toBe(true);
    expectEveryByteOnce(origin.proxy, blobsOf(image));
  });

  it('asks for tokens, which the token server issues', async () => {
    await using tokens = await startTokenServer({ credentials: CREDENTIALS });
    await using origin = await startOrigin({ token: tokens });
    await using node = await startContainerd();
    await expect(ctrPull(node, origin.name)).rejects.toThrow();
    await ctrPull(node, origin.name, { credentials: CREDENTIALS });
    expect(tokens.requests).toContainEqual(
      expect.objectContaining({ account: 'test', scopes: ['repository:test/app:pull'], status: 200 }),
    );
    expectEveryByteOnce(origin.proxy, blobsOf(image));
  });

  it('gives pull tokens to anybody when told so', async () => {
    await using tokens = await startTokenServer({ credentials: CREDENTIALS, anonymous: true });
    await using origin = await startOrigin({ token: tokens });
    await using node = await startContainerd();
    await ctrPull(node, origin.name);
    expect(tokens.issuedTokens.length).toBeGreaterThan(0);
    expectEveryByteOnce(origin.proxy, blobsOf(image));
  });

  it('speaks TLS under its own authority', async () => {
    await using origin = await startOrigin({ tls: true });
    const { caFile = '', caDir = '' } = origin.registry.certificate ?? {};
    await expect(skopeoCopy(origin.name, join(scratch.path, 'refused'), { certDir: '/nowhere' })).rejects.toThrow(
      'certificate',
    );
    await skopeoCopy(origin.name, join(scratch.path, 'trusted'), { certDir: caDir });
    await using node = await startContainerd();
    await writeHostsToml({
      certsDir: node.certsDir,
      registry: origin.proxy.host,
      server: origin.proxy.url,
      caFile,
      mirrors: [],
    });
    origin.proxy.log.clear();
    await ctrPull(node, origin.name);
    expectEveryByteOnce(origin.proxy, blobsOf(image));
  });
});

describe('smallDisk', () => {
  it('can be filled and released', async () => {
    await using disk = await smallDisk(4 * 2 ** 20);
    await disk.fill(65_536);
    const { bavail, bsize } = await statfs(disk.path);
    expect(bavail * bsize).toBeLessThanOrEqual(65_536);
    await expect(writeFile(join(disk.path, 'big'), Buffer.alloc(2 ** 20))).rejects.toMatchObject({ code: 'ENOSPC' });
    await disk.release();
    await writeFile(join(disk.path, 'big'), Buffer.alloc(2 ** 20));
  });
});

describe('startCluster', () => {
  it('runs a service, and runs it again at the same address after a crash', async () => {
    await using cluster = await startCluster({ daemons: 0, seeds: 0 });
    const { scheduler } = cluster;
    const first = scheduler?.program.pid;
    await scheduler?.kill('SIGKILL');
    await expect(fetch(scheduler?.metricsUrl ?? '')).rejects.toThrow();
    await scheduler?.start();
    expect(scheduler?.program.pid).not.toBe(first);
    expect((await fetch(scheduler?.metricsUrl ?? '')).status).toBe(200);
  });

  it('says at once what a service that does not start has printed', async () => {
    const starting = startCluster({ daemons: 0, seeds: 0, schedulerConfig: { server: { prt: 1 } } });
    await expect(starting).rejects.toThrow(/scheduler.*ended \(exit code \d+\).*prt/s);
  });
});

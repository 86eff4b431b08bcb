import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type BlobDescriptor,
  blobsOf,
  type Cluster,
  type ClusterNode,
  type DaemonNode,
  directoryContent,
  eventually,
  freePort,
  makeImage,
  podmanPull,
  podmanStorage,
  pushImage,
  type Registry,
  run,
  skopeoCopy,
  startCluster,
  startRegistry,
  startTokenServer,
  tempDir,
  type TokenServer,
} from '@d7y/testkit';

const KIB = 1024;
const MIB = 1024 * KIB;
const JANE = { username: 'jane', password: 'pl4nted-password' };
const NODE = { username: 'node', password: 'pl4nted-proxy-password' };
/** Names of the registries, as images have them; only the daemons know where they are. */
const [OPEN, SECURE, PRIVATE, BASIC] = ['open.test', 'secure.test', 'private.test', 'basic.test'] as const;

let stack: AsyncDisposableStack;
let scratch: string;
let tokens: TokenServer;
let registries: Record<string, Registry>;
let cluster: Cluster;
let daemon: DaemonNode;
let blobs: readonly BlobDescriptor[];
/** The largest layer. */
let layer: BlobDescriptor;

beforeAll(async () => {
  stack = new AsyncDisposableStack();
  scratch = stack.use(await tempDir('d7y-modes')).path;
  tokens = stack.use(await startTokenServer({ credentials: JANE }));
  const [open, secure, withTokens, basic] = await Promise.all([
    startRegistry(),
    startRegistry({ tls: true }),
    startRegistry({ token: tokens }),
    startRegistry({ auth: JANE }),
  ]);
  for (const registry of [open, secure, withTokens, basic]) stack.use(registry);
  registries = { [OPEN]: open, [SECURE]: secure, [PRIVATE]: withTokens, [BASIC]: basic };
  const image = await makeImage({ dir: join(scratch, 'image'), tag: 'v1', layerBytes: [5 * KIB, MIB, 6 * MIB] });
  await Promise.all([open, secure].map((registry) => pushImage(image, registry)));
  await Promise.all([withTokens, basic].map((registry) => pushImage(image, registry, { credentials: JANE })));
  blobs = blobsOf(image);
  layer = blobs.reduce((largest, one) => (one.size > largest.size ? one : largest));
  cluster = stack.use(
    await startCluster({
      daemons: 1,
      daemonConfig: {
        verbose: true,
        proxy: {
          registryMirror: { enableTaskIDBasedBlobDigest: false },
          server: { intercept: [SECURE] },
          registries: Object.entries(registries).map(([host, { url, certificate }]) => ({
            host,
            url,
            ...(certificate !== undefined && { cert: certificate.caFile }),
          })),
        },
      },
    }),
  );
  [daemon] = cluster.daemons as [DaemonNode];
});

afterAll(async () => {
  await stack.disposeAsync();
});

/** Runs curl. @returns status, digest of the body and its length */
async function curl(...args: string[]): Promise<{ status: number; digest: string; size: number }> {
  const file = join(scratch, 'body');
  const { stdout } = await run('curl', [
    '-sS',
    '--noproxy',
    '',
    '-o',
    file,
    '-w',
    '%{http_code} %{http_connect}',
    ...args,
  ]);
  const [status = '', connect = ''] = stdout.split(' ');
  const digest = `sha256:${createHash('sha256')
    .update(await readFile(file))
    .digest('hex')}`;
  return { status: Number(status) || Number(connect), digest, size: (await stat(file)).size };
}

const logOf = ({ lines }: ClusterNode): string => lines.join('\n');
const blobPath = () => `/v2/test/app/blobs/${layer.digest}`;
const whole = () => ({ status: 200, digest: layer.digest, size: layer.size });

async function expectImage(dir: string): Promise<void> {
  const content = await directoryContent(dir);
  expect(Object.fromEntries(content)).toEqual(Object.fromEntries(blobs.map(({ digest, size }) => [digest, size])));
}

describe('images named by the proxy and their registry', () => {
  it('come by curl, which follows nothing', async () => {
    expect(await curl(`${daemon.proxyUrl}/v2/${OPEN}${blobPath().slice(3)}`)).toEqual(whole());
    expect((await curl(`${daemon.proxyUrl}/v2/${OPEN}/test/app/tags/list`)).status).toBe(200);
    const part = await curl('-r', '0-9,20-29', `${daemon.proxyUrl}/v2/${OPEN}${blobPath().slice(3)}`);
    expect(part.status).toBe(206);
  });

  it.each([[OPEN], [SECURE]])('come by skopeo and podman from %s', async (name) => {
    const image = `${daemon.proxyHost}/${name}/test/app:v1`;
    const dir = join(scratch, `skopeo-${name}`);
    await skopeoCopy(image, dir);
    await expectImage(dir);
    await using storage = await podmanStorage();
    expect(`sha256:${await podmanPull(storage, image)}`).toBe(blobs[0]?.digest);
  });

  it.each([[PRIVATE], [BASIC]])('come from %s to who has a password, and to nobody else', async (name) => {
    const image = `${daemon.proxyHost}/${name}/test/app:v1`;
    const dir = join(scratch, `skopeo-${name}`);
    await expect(skopeoCopy(image, dir)).rejects.toThrow();
    await expect(skopeoCopy(image, dir, { credentials: { ...JANE, password: 'wrong' } })).rejects.toThrow();
    await skopeoCopy(image, dir, { credentials: JANE });
    await expectImage(dir);
    await using storage = await podmanStorage();
    await expect(podmanPull(storage, image)).rejects.toThrow();
    expect(`sha256:${await podmanPull(storage, image, { credentials: JANE })}`).toBe(blobs[0]?.digest);
  });
});

describe('a forward proxy', () => {
  it('takes blobs of a URL through the swarm', async () => {
    const answer = await curl('-x', daemon.proxyUrl, `http://${OPEN}${blobPath()}`);
    expect(answer).toEqual(whole());
    expect(logOf(daemon)).toMatch(/"mode":"forward"[^\n]*"from":"(source|remote|local)"/);
  });

  it('does not lead to a metadata service', async () => {
    expect((await curl('-x', daemon.proxyUrl, 'http://169.254.169.254/latest/meta-data/')).status).toBe(403);
  });
});

describe('CONNECT', () => {
  const authority = () => join(daemon.storageDir, 'proxy-ca', 'ca.crt');

  it('is read within for hosts that are configured, by clients that trust the authority', async () => {
    const answer = await curl('-x', daemon.proxyUrl, '--cacert', authority(), `https://${SECURE}${blobPath()}`);
    expect(answer).toEqual(whole());
    expect(logOf(daemon)).toContain('"mode":"intercepted"');
    expect((await stat(join(daemon.storageDir, 'proxy-ca', 'ca.key'))).mode & 0o777).toBe(0o600);
    await expect(curl('-x', daemon.proxyUrl, `https://${SECURE}${blobPath()}`)).rejects.toThrow(/certificate/);
  });

  it('serves skopeo', async () => {
    const dir = join(scratch, 'skopeo-connect');
    const env = { HTTPS_PROXY: daemon.proxyUrl, SSL_CERT_FILE: authority() };
    await run('skopeo', ['copy', '--quiet', `docker://${SECURE}/test/app:v1`, `dir:${dir}`], { env });
    await expectImage(dir);
  });

  it('is a tunnel for all others, whose certificate stays', async () => {
    const { url, certificate } = registries[SECURE] as Registry;
    const answer = await curl('-x', daemon.proxyUrl, '--cacert', certificate?.caFile ?? '', `${url}${blobPath()}`);
    expect(answer).toEqual(whole());
    // The line is written when the tunnel has ended.
    await eventually(() => expect(logOf(daemon)).toMatch(/"mode":"connect"[^\n]*"why":"tunnel"/));
  });
});

describe('a proxy with credentials, on two addresses', () => {
  it('weakness 1: refuses those without, in every mode, and forwards what is not its own', async () => {
    const second = { ip: '127.0.0.2', port: await freePort() };
    const guarded = await cluster.addDaemon({
      proxy: { server: { basicAuth: NODE, listen: [second] } },
    });
    const url = `http://${OPEN}${blobPath()}`;
    const user = ['--proxy-user', `${NODE.username}:${NODE.password}`];
    const { certificate, url: secure } = registries[SECURE] as Registry;
    const trust = ['--cacert', certificate?.caFile ?? ''];
    for (const proxy of [guarded.proxyUrl, `http://${second.ip}:${second.port}`]) {
      expect((await curl('-x', proxy, url)).status).toBe(407);
      expect((await curl('-x', proxy, '--proxy-user', 'node:wrong', url)).status).toBe(407);
      expect(await curl('-x', proxy, ...user, url)).toEqual(whole());
      await expect(curl('-x', proxy, ...trust, `${secure}${blobPath()}`)).rejects.toThrow(/407/);
      expect(await curl('-x', proxy, ...trust, ...user, `${secure}${blobPath()}`)).toEqual(whole());
      const mirror = `${proxy}/v2/${OPEN}${blobPath().slice(3)}`;
      expect((await curl(mirror)).status).toBe(401);
      expect(await curl('-u', `${NODE.username}:${NODE.password}`, mirror)).toEqual(whole());
    }
  });
});

it('writes no password into a log', () => {
  const secrets = [JANE, NODE].flatMap(({ username, password }) => [
    password,
    Buffer.from(`${username}:${password}`).toString('base64'),
  ]);
  for (const node of cluster.nodes) for (const secret of secrets) expect(logOf(node)).not.toContain(secret);
});

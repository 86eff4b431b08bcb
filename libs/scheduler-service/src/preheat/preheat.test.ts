import { Writable } from 'node:stream';
import { Code } from '@connectrpc/connect';
import { common } from '@d7y/api';
import { DEFAULT_FILTERED_QUERY_PARAMS, taskIdOf } from '@d7y/piece';
import { FakeDaemon, FakeRegistry, PASSWORD, TOKEN } from '@d7y/preheat/testing';
import { createLogger } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { eventually, SchedulerRig, startFakeSeed } from '../_rig.ts';

const OPEN = 'preheat: { upstreams: { refusePrivate: false } }';

/** A registry, a scheduler that may talk to it, and daemons. */
async function cluster(roles: readonly ('seed' | 'normal')[], yaml = OPEN) {
  await using stack = new AsyncDisposableStack();
  const lines: string[] = [];
  const stream = new Writable({ write: (chunk: Buffer, _encoding, done) => (lines.push(chunk.toString()), done()) });
  const logger = createLogger({ name: 'test', level: 'debug', stream });
  const registry = stack.use(await FakeRegistry.start());
  const rig = stack.use(await SchedulerRig.start({ logger }, yaml));
  const daemons: FakeDaemon[] = [];
  for (const [index, role] of roles.entries()) {
    const ip = `127.0.0.${index + 1}`;
    const daemon = stack.use(await FakeDaemon.start(ip));
    daemons.push(daemon);
    // The same machine by several names: addresses of the loopback network are as good as those of a real one.
    await rig.announce(`${role}-${index}`, {
      port: daemon.port,
      ip,
      type: role === 'seed' ? 1 : 0,
    });
  }
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${rig.running.port}/metrics`)).text();
    return Number(new RegExp(`^dragonfly_scheduler_${name} (.*)$`, 'm').exec(text)?.[1]);
  };
  const moved = stack.move();
  return { registry, rig, daemons, lines, metric, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

describe('PreheatImage', () => {
  it('has the seed of each file fetch it, with the token of its registry, which nobody else sees', async () => {
    await using swarm = await cluster(['normal']);
    await using seed = await FakeDaemon.start();
    await swarm.rig.announce('the-seed', { port: seed.port, type: 1 });
    swarm.registry.isPrivate = true;
    await swarm.rig.client.preheatImage({
      url: swarm.registry.imageUrl,
      platform: 'linux/arm64',
      username: 'user',
      password: PASSWORD,
      scope: 'single_seed_peer',
      tag: 'warm',
      header: { 'X-Public': 'yes', Cookie: 'planted-cookie' },
      priority: common.Priority.LEVEL6,
    });
    await eventually(async () => (await swarm.metric('preheat_task_total')) === 3);
    expect(seed.downloads.map(({ url }) => url).sort()).toEqual(swarm.registry.blobUrls('arm64').sort());
    expect(seed.downloads[0]).toMatchObject({
      priority: common.Priority.LEVEL6,
      tag: 'warm',
      remoteIp: '127.0.0.1',
      enableTaskIdBasedBlobDigest: false,
      needBackToSource: false,
      filteredQueryParams: DEFAULT_FILTERED_QUERY_PARAMS,
      requestHeader: { authorization: `Bearer ${TOKEN}`, cookie: 'planted-cookie', 'x-public': 'yes' },
    });
    expect(swarm.daemons[0]?.downloads).toEqual([]);
    expect(await swarm.metric('preheat_image_failure_total')).toBe(0);
    const basic = Buffer.from(`user:${PASSWORD}`).toString('base64');
    for (const secret of ['planted', basic]) expect(swarm.lines.join('')).not.toContain(secret);
  });

  it('gives the credentials to one of many only, and has the others come once that one has begun', async () => {
    await using swarm = await cluster(['normal', 'normal', 'normal']);
    swarm.registry.isPrivate = true;
    const released = Promise.withResolvers<void>();
    for (const daemon of swarm.daemons)
      daemon.onDownload = ({ requestHeader }) =>
        'authorization' in requestHeader ? released.promise : Promise.resolve();
    await swarm.rig.client.preheatImage({
      url: swarm.registry.imageUrl,
      platform: 'linux/amd64',
      username: 'user',
      password: PASSWORD,
      scope: 'all_peers',
    });
    const all = () => swarm.daemons.flatMap(({ downloads }) => downloads);
    await eventually(() => all().length === 9);
    released.resolve();
    const entitled = all().filter(({ requestHeader }) => 'authorization' in requestHeader);
    expect(entitled.map(({ url }) => url).sort()).toEqual(swarm.registry.blobUrls('amd64').sort());
    await eventually(async () => (await swarm.metric('preheat_task_total')) === 9);
  });

  it('tries the next seed when one fails, and says so', async () => {
    await using swarm = await cluster(['seed', 'seed']);
    const refused = new Set<string>();
    for (const daemon of swarm.daemons)
      daemon.onDownload = ({ url }) => {
        if (refused.has(url)) return Promise.resolve();
        refused.add(url);
        return Promise.reject(new Error('disk full'));
      };
    await swarm.rig.client.preheatImage({
      url: swarm.registry.imageUrl,
      platform: 'linux/amd64',
      scope: 'single_seed_peer',
    });
    await eventually(async () => (await swarm.metric('preheat_image_failure_total')) === 1);
    expect(await swarm.metric('preheat_task_total')).toBe(6);
    expect(await swarm.metric('preheat_task_failure_total')).toBe(3);
    expect(swarm.daemons.map(({ downloads }) => downloads.length)).toEqual([3, 3]);
    expect(swarm.lines.join('')).toContain('a file was not preheated');
  });

  it('restricts who fetches to addresses, a number, or a percentage', async () => {
    await using swarm = await cluster(['normal', 'normal', 'normal', 'normal']);
    const fetched = async (choice: object): Promise<string> => {
      for (const daemon of swarm.daemons) daemon.downloads.length = 0;
      const before = await swarm.metric('preheat_task_total');
      await swarm.rig.client.preheatFile({ url: 'http://127.0.0.1/file', scope: 'all_peers', ...choice });
      await eventually(async () => (await swarm.metric('preheat_task_total')) > before);
      return swarm.daemons.map(({ downloads }) => downloads.length).join('');
    };
    expect(await fetched({ ips: ['127.0.0.3'] })).toBe('0010');
    expect(await fetched({ count: 1 })).toBe('1000');
    expect(await fetched({ percentage: 30 })).toBe('1000');
  });

  it.each<[string, Code, string, object, string?]>([
    ['without a seed', Code.FailedPrecondition, 'no seed is known here', {}],
    ['with a platform that is not there', Code.InvalidArgument, 'linux/riscv64', { platform: 'linux/riscv64' }],
    ['with a URL that is no image', Code.InvalidArgument, 'manifests/REFERENCE', { url: 'https://a.example/x' }],
    [
      'with a certificate that is none',
      Code.InvalidArgument,
      'certificate_chain',
      { certificateChain: [new Uint8Array(3)] },
    ],
    ['of a private network, unless configured', Code.PermissionDenied, 'preheat.upstreams', {}, ''],
    [
      'of a metadata service',
      Code.PermissionDenied,
      'denied',
      { url: 'http://metadata.google.internal/v2/a/manifests/b' },
    ],
    ['that is not allowed', Code.PermissionDenied, 'not among', {}, 'preheat: { upstreams: { allow: [ghcr.io] } }'],
  ])('turns down one %s', async (_what, code, words, request, yaml = OPEN) => {
    await using swarm = await cluster([], yaml);
    const call = swarm.rig.client.preheatImage({
      ...{ url: swarm.registry.imageUrl, scope: 'single_seed_peer', platform: 'linux/amd64' },
      ...request,
    });
    await expect(call).rejects.toMatchObject({ code, rawMessage: expect.stringContaining(words) as unknown });
    expect(await swarm.metric('preheat_image_failure_total')).toBe(1);
  });

  it('tells of a registry that refuses, without the password', async () => {
    await using swarm = await cluster(['seed']);
    swarm.registry.isPrivate = true;
    const call = swarm.rig.client.preheatImage({
      url: swarm.registry.imageUrl,
      scope: 'single_seed_peer',
      username: 'user',
      password: 'planted-wrong',
    });
    await expect(call).rejects.toMatchObject({
      code: Code.InvalidArgument,
      rawMessage: expect.stringContaining('the origin answered 401') as unknown,
    });
    expect(swarm.lines.join('')).not.toContain('planted');
  });
});

describe('PreheatFile', () => {
  it('fetches every file of a directory that a seed can list', async () => {
    await using swarm = await cluster(['seed']);
    const [seed] = swarm.daemons;
    if (seed === undefined) throw new TypeError();
    seed.files = ['a', 'b'];
    await swarm.rig.client.preheatFile({
      url: 's3://bucket/models/',
      scope: 'single_seed_peer',
      outputPath: '/models',
    });
    await eventually(() => seed.downloads.length === 2);
    expect(seed.downloads.map(({ url, outputPath }) => [url, outputPath]).sort()).toEqual([
      ['s3://bucket/models/a', '/models'],
      ['s3://bucket/models/b', '/models'],
    ]);
  });
});

describe('StatImage and StatFile', () => {
  it('say which daemons hold which files whole, by the ids that pulls have', async () => {
    await using swarm = await cluster(['normal', 'normal', 'seed']);
    const [first, second] = swarm.daemons;
    const [configuration = '', layer = ''] = swarm.registry.blobUrls('amd64');
    const filteredQueryParams = DEFAULT_FILTERED_QUERY_PARAMS;
    first?.held.set(taskIdOf({ url: layer, filteredQueryParams }), true);
    first?.held.set(taskIdOf({ url: configuration, filteredQueryParams }), false);
    second?.held.set(taskIdOf({ url: layer, enableTaskIdBasedBlobDigest: true }), true);
    const { image, peers } = await swarm.rig.client.statImage({
      url: swarm.registry.imageUrl,
      platform: 'linux/amd64',
    });
    expect(image?.layers.map(({ url }) => url)).toEqual(swarm.registry.blobUrls('amd64'));
    expect(peers.map(({ ip, hostname, cachedLayers }) => [ip, hostname, cachedLayers.map(({ url }) => url)])).toEqual([
      ['127.0.0.1', 'normal-0', [layer]],
      ['127.0.0.2', 'normal-1', [layer]],
    ]);

    const url = 'https://a.example/file?X-Amz-Signature=1&b=2';
    second?.held.set(taskIdOf({ url: 'https://a.example/file?b=2', tag: 't' }), true);
    const files = await swarm.rig.client.statFile({ url, tag: 't' });
    expect(files.peers).toMatchObject([{ hostname: 'normal-1', cachedFiles: [{ url, isFinished: true }] }]);
  });

  it('pass over daemons that do not answer', async () => {
    await using swarm = await cluster(['normal']);
    await using silentOne = await startFakeSeed();
    await swarm.rig.announce('deaf', { port: silentOne.port });
    const url = 'https://a.example/file';
    swarm.daemons[0]?.held.set(taskIdOf({ url }), true);
    expect((await swarm.rig.client.statFile({ url })).peers).toHaveLength(1);
    expect(swarm.lines.join('')).toContain('some daemons do not say what they hold');
  });
});

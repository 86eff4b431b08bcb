import { mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from '@connectrpc/connect';
import { dfdaemon } from '@d7y/api';
import { createDaemonTransport } from '@d7y/peer-protocol';
import { describe, expect, it, jest } from '@jest/globals';
import type { RunningDfdaemon } from '../src/index.ts';
import { blobPath, contentOf, DaemonFarm, get, sha256, startOrigin } from './_cluster.ts';

/** Several daemons start in each test. */
jest.setTimeout(120_000);

const LARGE = contentOf('peers', 21 * 2 ** 20 + 5);
const SMALL = contentOf('tiny', 3000);
const blobs = new Map([SMALL, LARGE].map((content) => [blobPath(content), content]));

/** Daemons that know a seed from earlier, and no scheduler. */
async function startWithSeed(
  farm: DaemonFarm,
  names: string[],
  ofSeed: Record<string, unknown> = {},
): Promise<{ seed: RunningDfdaemon; daemons: RunningDfdaemon[] }> {
  const seed = await farm.start('seed', { seedPeer: { enable: true }, ...ofSeed });
  const seeds = { version: 1, seeds: [{ hostId: seed.hostId, ip: '127.0.0.1', port: seed.ports.upload }] };
  const daemons: RunningDfdaemon[] = [];
  for (const name of names) {
    await mkdir(join(farm.dir, name), { recursive: true });
    await writeFile(join(farm.dir, name, 'seeds.json'), JSON.stringify(seeds));
    daemons.push(await farm.start(name));
  }
  return { seed, daemons };
}

describe('daemons with a remembered seed and no scheduler', () => {
  it('get everything through the seed, which asks the origin once', async () => {
    await using origin = await startOrigin(blobs);
    await using farm = await DaemonFarm.create();
    const { seed, daemons } = await startWithSeed(farm, ['a', 'b']);
    expect(seed.hostId).toBe('127.0.0.1-seed-seed');
    for (const content of [LARGE, SMALL]) {
      const path = `${blobPath(content)}?ns=${origin.authority}`;
      const answers = await Promise.all(daemons.map(({ ports }) => get({ port: ports.proxy }, path)));
      expect(answers.map(({ body }) => sha256(body))).toEqual([sha256(content), sha256(content)]);
    }
    expect(origin.sentBytes).toBe(LARGE.length + SMALL.length);
    const status = await seed.status();
    expect(status.bytes).toMatchObject({
      fromSource: LARGE.length + SMALL.length,
      uploaded: 2 * (LARGE.length + SMALL.length),
    });
    for (const daemon of daemons) {
      expect((await daemon.status()).bytes).toMatchObject({ fromSource: 0, fromPeers: LARGE.length + SMALL.length });
    }
  });

  it('go to the origin when the seed is gone', async () => {
    await using origin = await startOrigin(blobs);
    await using farm = await DaemonFarm.create();
    const { seed, daemons } = await startWithSeed(farm, ['a']);
    await seed[Symbol.asyncDispose]();
    const [daemon] = daemons;
    const answer = await get({ port: daemon?.ports.proxy ?? 0 }, `${blobPath(LARGE)}?ns=${origin.authority}`);
    expect(sha256(answer.body)).toBe(sha256(LARGE));
    expect(origin.sentBytes).toBe(LARGE.length);
  });

  it('keep private content from the seed, and the secret from everybody but the origin', async () => {
    const authorization = `Bearer planted-token`;
    await using origin = await startOrigin(blobs);
    origin.admit = (request) => (request.authorization === authorization ? 200 : 401);
    await using farm = await DaemonFarm.create();
    const { seed, daemons } = await startWithSeed(farm, ['a']);
    const [daemon] = daemons;
    const path = `${blobPath(LARGE)}?ns=${origin.authority}`;
    const answer = await get({ port: daemon?.ports.proxy ?? 0 }, path, { authorization });
    expect(sha256(answer.body)).toBe(sha256(LARGE));
    expect((await seed.status()).tasks.total).toBe(0);
    expect(farm.log.lines.join('')).not.toContain('planted-token');
  });
});

/** Turns some bytes of a blob over, where a daemon keeps it. */
async function spoilStored(dir: string, content: Uint8Array, position: number): Promise<void> {
  const files = await readdir(dir, { recursive: true, withFileTypes: true });
  const file = files.find(({ name }) => name === sha256(content));
  if (file === undefined) throw new Error('there is no file for the blob');
  await spoil(join(file.parentPath, file.name), position);
}

/** Turns some bytes of a file over, where it lies. */
async function spoil(path: string, position: number): Promise<void> {
  await using file = await open(path, 'r+');
  await file.write(Buffer.alloc(64, 0xa5), 0, 64, position);
}

describe('content that is spoiled', () => {
  it('weakness 27: in a file that was written for somebody is right in the cache, and for all others', async () => {
    await using origin = await startOrigin(blobs);
    await using farm = await DaemonFarm.create();
    const socketPath = join(farm.dir, 'seed.sock');
    const { seed, daemons } = await startWithSeed(farm, ['a'], {
      download: { server: { socketPath }, outputRoots: [farm.dir] },
    });
    using connection = createDaemonTransport({ socketPath });
    const client = createClient(dfdaemon.DfdaemonDownload, connection.transport);
    const outputPath = join(farm.dir, 'output');
    const url = `http://${origin.authority}${blobPath(LARGE)}`;
    const told = client.downloadTask({ download: { url, outputPath, enableTaskIdBasedBlobDigest: true } });
    for await (const _ of told);
    expect((await readFile(outputPath)).equals(LARGE)).toBe(true);
    await spoil(outputPath, 1_000_000);
    for (const { ports } of [seed, ...daemons]) {
      const answer = await get({ port: ports.proxy }, `${blobPath(LARGE)}?ns=${origin.authority}`);
      expect(sha256(answer.body)).toBe(sha256(LARGE));
    }
    expect(origin.sentBytes).toBe(LARGE.length);
  });

  it('weakness 27: on the disk of a parent is refused by its child, which gets it elsewhere', async () => {
    await using origin = await startOrigin(blobs);
    await using farm = await DaemonFarm.create();
    const { seed, daemons } = await startWithSeed(farm, ['a']);
    const path = `${blobPath(LARGE)}?ns=${origin.authority}`;
    await get({ port: seed.ports.proxy }, path);
    await spoilStored(join(farm.dir, 'seed'), LARGE, 5_000_000);
    const [daemon] = daemons;
    const answer = await get({ port: daemon?.ports.proxy ?? 0 }, path);
    expect(sha256(answer.body)).toBe(sha256(LARGE));
    // Something had to come again, and not everything.
    expect(origin.sentBytes).toBeGreaterThan(LARGE.length);
  });
});

describe('content that is spoiled while its daemon is down', () => {
  it('weakness 27: is found before a client gets it, and only its piece is fetched again', async () => {
    await using origin = await startOrigin(blobs);
    await using farm = await DaemonFarm.create();
    const path = `${blobPath(LARGE)}?ns=${origin.authority}`;
    const before = await farm.start('a');
    await get({ port: before.ports.proxy }, path);
    await before[Symbol.asyncDispose]();
    await spoilStored(join(farm.dir, 'a'), LARGE, 5_000_000);
    const { ports } = await farm.start('a');
    const answer = await get({ port: ports.proxy }, path);
    expect(sha256(answer.body)).toBe(sha256(LARGE));
    expect(origin.sentBytes).toBe(LARGE.length + 4 * 2 ** 20);
  });
});

describe('a seed that is told to fetch', () => {
  it('goes on when the one who told it is gone', async () => {
    await using origin = await startOrigin(blobs);
    await using farm = await DaemonFarm.create();
    const seed = await farm.start('seed', { seedPeer: { enable: true } });
    using connection = createDaemonTransport({ address: `127.0.0.1:${seed.ports.upload}` });
    const client = createClient(dfdaemon.DfdaemonUpload, connection.transport);
    const leaving = new AbortController();
    const download = {
      url: `http://${origin.authority}${blobPath(LARGE)}`,
      needBackToSource: true,
      enableTaskIdBasedBlobDigest: true,
    };
    const told = (async () => {
      for await (const _ of client.downloadTask({ download }, leaving)) leaving.abort();
    })();
    await expect(told).rejects.toThrow();
    for (;;) {
      const task = await client.statLocalTask({ taskId: sha256(LARGE) }).catch(() => undefined);
      if (task?.finishedAt !== undefined) break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(origin.sentBytes).toBe(LARGE.length);
  });
});

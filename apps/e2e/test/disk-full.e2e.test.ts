import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type AppConfig,
  DaemonNode,
  eventually,
  type FileOrigin,
  mergeConfig,
  pseudoRandomBytes,
  type SmallDisk,
  smallDisk,
  startFileOrigin,
  tempDir,
  type TempDir,
} from '@d7y/testkit';

const MIB = 2 ** 20;
const DISK_BYTES = 48 * MIB;

let scratch: TempDir;
let disk: SmallDisk;
let origin: FileOrigin;
let daemon: DaemonNode;

beforeEach(async () => {
  scratch = await tempDir('d7y-disk-full');
  disk = await smallDisk(DISK_BYTES);
  origin = await startFileOrigin();
});

afterEach(async () => {
  await daemon[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
  await disk[Symbol.asyncDispose]();
  await scratch[Symbol.asyncDispose]();
});

/** A daemon that stores on the small disk whatever it is asked for. It evicts only what it must, unless a test says otherwise. */
async function startDaemon(config: AppConfig = {}): Promise<void> {
  daemon = await DaemonNode.prepare({
    name: 'node',
    seed: false,
    parentDir: scratch.path,
    schedulers: [],
    config: mergeConfig(
      {
        proxy: { rules: [{ regex: 'blobs/' }] },
        storage: { dir: join(disk.path, 'storage') },
        gc: { policy: { diskHighThresholdPercent: 99, diskLowThresholdPercent: 98 } },
      },
      config,
    ),
  });
  await daemon.start();
}

interface Blob {
  readonly path: string;
  readonly hash: string;
}

function publish(seed: string, bytes: number): Blob {
  const content = pseudoRandomBytes(seed, bytes);
  const hash = createHash('sha256').update(content).digest('hex');
  const path = `/v2/test/app/blobs/sha256:${hash}`;
  origin.publish(path, { bytes: content });
  return { path, hash };
}

/** Pulls a blob through the daemon; what arrives must be all of it. */
async function pull({ path, hash }: Blob): Promise<void> {
  const answer = await fetch(`${daemon.proxyUrl}${path}`, { headers: { 'X-Dragonfly-Registry': origin.url } });
  expect(answer.status).toBe(200);
  const received = createHash('sha256');
  for await (const chunk of answer.body ?? []) received.update(chunk as Uint8Array);
  expect(received.digest('hex')).toBe(hash);
}

/** Which of the blobs have a content file. */
async function held(blobs: Readonly<Record<string, Blob>>): Promise<string[]> {
  const files = await readdir(join(disk.path, 'storage', 'content', 'tasks'), { recursive: true });
  const names = new Set(files.map((file) => file.split('/').at(-1)));
  return Object.keys(blobs).filter((name) => names.has(blobs[name]?.hash));
}

describe('a small disk', () => {
  it('lets a pull through that is larger than all of it, and keeps what it holds', async () => {
    await startDaemon();
    const blobs = { small: publish('small', 5 * MIB), huge: publish('huge', 64 * MIB) };
    await pull(blobs.small);
    await pull(blobs.huge);
    expect(await held(blobs)).toEqual(['small']);
    origin.log.clear();
    await pull(blobs.small);
    expect(origin.log.requests.filter(({ sentBytes }) => sentBytes > 1)).toEqual([]);
  });

  it('makes room by evicting the least recently used, for a pull that fits then', async () => {
    await startDaemon();
    const blobs = {
      first: publish('1', 10 * MIB),
      second: publish('2', 10 * MIB),
      third: publish('3', 10 * MIB),
      large: publish('4', 24 * MIB),
    };
    for (const blob of [blobs.first, blobs.second, blobs.third]) await pull(blob);
    await pull(blobs.first);
    await pull(blobs.large);
    expect(await held(blobs)).toEqual(['first', 'third', 'large']);
    origin.log.clear();
    await pull(blobs.large);
    await pull(blobs.first);
    expect(origin.log.requests.filter(({ sentBytes }) => sentBytes > 1)).toEqual([]);
  });

  it('gives parallel pulls no more than it has: what does not fit beside them goes past it', async () => {
    await startDaemon();
    const blobs = Object.fromEntries(Array.from({ length: 6 }, (_, n) => [`blob ${n}`, publish(`p${n}`, 14 * MIB)]));
    using _slow = origin.inject({ path: /blobs/, fault: { bytesPerSec: 16 * MIB } });
    await Promise.all(Object.values(blobs).map(pull));
    // Three fit. The others were never begun on disk, so none of the three was cut short.
    expect(await held(blobs)).toHaveLength(3);
    origin.log.clear();
    for (const name of await held(blobs)) await pull(blobs[name] as Blob);
    expect(origin.log.requests.filter(({ sentBytes }) => sentBytes > 1)).toEqual([]);
    daemon.program.throwIfEnded();
  });

  it('that others fill while a pull is under way gives up what nobody reads, and the pull is stored', async () => {
    await startDaemon();
    const blobs = { old: publish('old', 20 * MIB), growing: publish('growing', 12 * MIB) };
    await pull(blobs.old);
    using slow = origin.inject({ path: new RegExp(blobs.growing.hash), fault: { bytesPerSec: 8 * MIB } });
    const pulled = pull(blobs.growing);
    await eventually(() => {
      expect(slow.met).toBeGreaterThan(0);
      return Promise.resolve();
    });
    await disk.fill();
    await pulled;
    expect(await held(blobs)).toEqual(['growing']);
    origin.log.clear();
    await pull(blobs.growing);
    expect(origin.log.requests.filter(({ sentBytes }) => sentBytes > 1)).toEqual([]);
  });

  it('is kept below its high watermark without waiting for the timer', async () => {
    await startDaemon({ gc: { policy: { diskHighThresholdPercent: 60, diskLowThresholdPercent: 30 } } });
    const blobs = Object.fromEntries([1, 2, 3, 4].map((n) => [`blob ${n}`, publish(`w${n}`, 9 * MIB)]));
    for (const blob of Object.values(blobs)) await pull(blob);
    // 29 MiB are reached while the fourth comes; two of nine make that less than 14.
    await eventually(async () => expect(await held(blobs)).toEqual(['blob 3', 'blob 4']));
  });

  it('is served from after a crash in the middle of all this, with no wrong byte', async () => {
    await startDaemon();
    const blobs = Object.fromEntries(Array.from({ length: 6 }, (_, n) => [`blob ${n}`, publish(`k${n}`, 14 * MIB)]));
    using slow = origin.inject({ path: /blobs/, fault: { bytesPerSec: 16 * MIB } });
    const broken = Promise.allSettled(Object.values(blobs).map(pull));
    await eventually(() => {
      expect(slow.met).toBeGreaterThan(2);
      return Promise.resolve();
    });
    await daemon.kill('SIGKILL');
    await broken;
    slow[Symbol.dispose]();
    await daemon.start();
    for (const blob of Object.values(blobs)) await pull(blob);
    for (const blob of Object.values(blobs)) await pull(blob);
  });
});

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { blobsOf, type BlobDescriptor, type DaemonNode, eventually, type SchedulerNode } from '@d7y/testkit';
import { type PullBench, startPullBench } from './_cluster.ts';
import { getBlob, trafficOf } from './_traffic.ts';

const MIB = 2 ** 20;
/** Of a blob of this size. */
const PIECE_BYTES = 4 * MIB;
const PIECES = 6;

let bench: PullBench;

beforeAll(async () => {
  bench = await startPullBench({ daemons: 1 });
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

interface Layer extends BlobDescriptor {
  readonly bytes: Buffer;
}

/** An image whose layer the seed has fetched from the registry, and the first daemon from the seed. */
async function spread(tag: string): Promise<Layer> {
  const { layout } = await bench.publish({ tag, layerBytes: [PIECES * PIECE_BYTES - MIB] });
  const layer = blobsOf(layout).find(({ size }) => size > MIB);
  const [first] = bench.cluster.daemons;
  if (layer === undefined || first === undefined) throw new Error('a layer and a daemon were asked for');
  expect(await getBlob(first, bench.origin.url, layer.digest)).toMatchObject({ digest: layer.digest });
  const bytes = await readFile(join(layout.dir, 'blobs', 'sha256', layer.digest.slice('sha256:'.length)));
  return { ...layer, bytes };
}

/**
 * Gets a few bytes out of a blob. Nobody can tell by the digest of the whole that they are right, so either somebody vouches for their
 * piece or the daemon has to fetch all the rest.
 */
async function expectVerifiedPart(daemon: DaemonNode, { digest, bytes }: Layer, from: number): Promise<void> {
  const answer = await fetch(`${daemon.proxyUrl}/v2/test/app/blobs/${digest}`, {
    headers: { 'X-Dragonfly-Registry': bench.origin.url, range: `bytes=${from}-${from + 999}` },
    signal: AbortSignal.timeout(30_000),
  });
  expect(answer.status).toBe(206);
  const got = Buffer.from(await answer.arrayBuffer());
  const sha256 = (of: Buffer): string => createHash('sha256').update(of).digest('hex');
  expect(sha256(got)).toBe(sha256(bytes.subarray(from, from + 1000)));
  const { backToSource, remotePeer } = await trafficOf(daemon);
  expect(backToSource).toBe(0);
  // The piece, and some that are read ahead.
  expect(remotePeer).toBeGreaterThanOrEqual(PIECE_BYTES);
  expect(remotePeer).toBeLessThan(bytes.length);
}

/** Each try by a daemon that never had any of it: what an earlier try has fetched would count against the next. */
const expectVerifiedPartSoon = (layer: Layer, from: number) =>
  eventually(async () => expectVerifiedPart(await bench.cluster.addDaemon(), layer, from), { timeoutMs: 30_000 });

async function vouchersAt(scheduler: SchedulerNode | undefined): Promise<number> {
  const text = await (await fetch(scheduler?.metricsUrl ?? '')).text();
  return Number(/^dragonfly_scheduler_link_vouchers (\S+)$/m.exec(text)?.[1]);
}

const expectVouchers = (count: number) =>
  eventually(async () => {
    if ((await vouchersAt(bench.cluster.scheduler)) < count) throw new Error('the scheduler has heard of too few');
  });

describe('what a seed vouched for', () => {
  it('is believed to a daemon that had it from the seed, when the seed is gone', async () => {
    const layer = await spread('relayed');
    await expectVouchers(PIECES);
    const [seed] = bench.cluster.seeds;
    await seed?.kill();
    try {
      using _blocked = bench.origin.blockBlobs();
      await expectVerifiedPartSoon(layer, 9 * MIB);
    } finally {
      await seed?.start();
    }
  });

  it('is told again to a scheduler that was restarted', async () => {
    const layer = await spread('told-again');
    await expectVouchers(2 * PIECES);
    await bench.cluster.scheduler?.kill();
    await bench.cluster.scheduler?.start();
    await expectVouchers(2 * PIECES);
    using _blocked = bench.origin.blockBlobs();
    await expectVerifiedPartSoon(layer, 0);
  });
});

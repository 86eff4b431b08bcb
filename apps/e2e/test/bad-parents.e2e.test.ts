import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type BlobDescriptor, blobsOf, type DaemonNode, eventually, type SchedulerNode } from '@d7y/testkit';
import { startBadParent } from './_bad-parent.ts';
import { expectEveryByteOnce, type PullBench, startPullBench } from './_cluster.ts';
import { getBlob } from './_traffic.ts';

const MIB = 2 ** 20;
/** Tells seconds from minutes. */
const SECONDS_MS = 30_000;
/** Asked of one parent before the first of them has come. */
const PIECES_AT_A_TIME = 4;
/** The same of one whose pieces are given to the origin while it says nothing: each makes room for another one. */
const PIECES_IN_SILENCE = 8;

let bench: PullBench;

beforeAll(async () => {
  bench = await startPullBench({ daemons: 2, seeds: 0, schedulerConfig: { scheduler: { settleTime: '0s' } } });
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

const blamed = (lines: readonly string[], name: string, reason: string): string[] =>
  lines.filter((line) => line.includes('is not trusted any more') && line.includes(name) && line.includes(reason));

describe('a parent', () => {
  it.each([
    ['that takes calls and never answers', 'mute'],
    ['whose piece server accepts and never answers', 'silent'],
    ['whose bytes do not match the digest it announces', 'otherDigest'],
    ['whose bytes match its digest but are not those of the blob', 'otherBlob'],
  ] as const)('%s costs a pull seconds, and is not asked again', async (_what, misbehaviour) => {
    const { scheduler } = bench.cluster;
    const [daemon] = bench.cluster.daemons;
    if (scheduler === undefined || daemon === undefined) throw new Error('a scheduler and a daemon were asked for');
    const image = await bench.publish({
      tag: misbehaviour.toLowerCase(),
      seed: randomUUID(),
      layerBytes: [26 * MIB, 14 * MIB],
    });
    const layers = blobsOf(image.layout).filter(({ size }) => size > MIB) as [BlobDescriptor, BlobDescriptor];
    await using parent = await startBadParent(scheduler.port, misbehaviour);
    for (const { digest, size } of layers) {
      await parent.offer({ url: `${bench.origin.url}/v2/test/app/blobs/${digest}`, digest, size });
    }
    bench.origin.log.clear();
    const [first, second] = layers;
    const got = await getBlob(daemon, bench.origin.url, first.digest);
    expect(got).toMatchObject({ status: 200, digest: first.digest });
    expect(got.ms).toBeLessThan(SECONDS_MS);
    const { askedForNews, askedForPieces } = parent;
    expect(askedForNews).toBe(1);
    if (misbehaviour === 'mute') expect(askedForPieces).toBe(0);
    else expect(askedForPieces).toBeGreaterThan(0);
    // Only who lies consistently may go on until the whole is here; the others have shown what they are with their first pieces.
    const most = misbehaviour === 'silent' ? PIECES_IN_SILENCE : PIECES_AT_A_TIME;
    if (misbehaviour !== 'otherBlob') expect(askedForPieces).toBeLessThanOrEqual(most);
    const reason = misbehaviour === 'mute' || misbehaviour === 'silent' ? 'stalled' : 'wrongBytes';
    await eventually(() => expect(blamed(daemon.lines, `bad-${misbehaviour}`, reason)).toHaveLength(1));

    const next = await getBlob(daemon, bench.origin.url, second.digest);
    expect(next).toMatchObject({ status: 200, digest: second.digest });
    expect({ ...parent }).toMatchObject({ askedForNews, askedForPieces });
    expectEveryByteOnce(bench.origin, layers);
  });
});

describe('what cannot be checked against the parent that sent it', () => {
  /** One layer, and its content. */
  async function publishLayer(tag: string): Promise<{ layer: BlobDescriptor; url: string; content: Buffer }> {
    // Content of its own each time: a test that is tried again would find the daemons with it.
    const image = await bench.publish({ tag, seed: randomUUID(), layerBytes: [50 * MIB] });
    const layer = blobsOf(image.layout).find(({ size }) => size > MIB) as BlobDescriptor;
    const url = `${bench.origin.url}/v2/test/app/blobs/${layer.digest}`;
    const content = Buffer.from(await (await fetch(url)).arrayBuffer());
    bench.origin.log.clear();
    return { layer, url, content };
  }

  /** What left the origin since its log was cleared. */
  const fetchedAgain = ({ digest, size }: BlobDescriptor) =>
    bench.origin.log.blobCoverage(digest, size).ranges.filter(({ times }) => times > 0);

  /** Judgement follows the match of the whole, by which time a client may have its last byte. */
  async function expectConvicted(
    daemon: DaemonNode,
    scheduler: SchedulerNode,
    name: string,
    reason: string,
  ): Promise<void> {
    await eventually(() => {
      expect(blamed(daemon.lines, name, reason)).toHaveLength(1);
      expect(scheduler.lines.some((line) => /is complained of/.test(line) && line.includes(name))).toBe(true);
    });
  }

  it('weakness 22: is refuted by who fetched it from the origin: the first wrong piece of a consistent liar is its last', async () => {
    const { scheduler, daemons } = bench.cluster;
    const [first, second] = daemons;
    if (scheduler === undefined || first === undefined || second === undefined) throw new Error('two daemons run');
    await using parent = await startBadParent(scheduler.port, 'otherBlob');
    // On a busy machine the honest parent may have brought everything before the liar is asked.
    for (let tries = 0; tries < 5 && parent.askedForPieces === 0; tries++) {
      const { layer, url } = await publishLayer('refuted');
      expect(await getBlob(first, bench.origin.url, layer.digest)).toMatchObject({ digest: layer.digest });
      bench.origin.log.clear();
      await parent.offer({ url, ...layer });
      const got = await getBlob(second, bench.origin.url, layer.digest);
      expect(got).toMatchObject({ status: 200, digest: layer.digest });
      expect(got.ms).toBeLessThan(SECONDS_MS);
      // The honest parent had it all.
      expect(fetchedAgain(layer)).toEqual([]);
    }
    expect(parent.askedForPieces).toBeGreaterThan(0);
    // What was asked for until the first one was refuted; on a busy machine a piece that is late is asked for again.
    expect(parent.askedForPieces).toBeLessThanOrEqual(2 * PIECES_AT_A_TIME);
    await expectConvicted(second, scheduler, 'bad-otherBlob', 'wrongBytes');
  });

  it('costs a client the end of its body when it was vouched for falsely, never a wrong blob: the next try succeeds', async () => {
    const { scheduler, daemons } = bench.cluster;
    const [daemon] = daemons;
    if (scheduler === undefined || daemon === undefined) throw new Error('a daemon runs');
    const { layer, url } = await publishLayer('falsely-vouched');
    await using parent = await startBadParent(scheduler.port, 'falseVoucher');
    // Who has the whole before he has heard a voucher is never deceived, nor who has the truth first: the last piece and the origin's bytes
    // come when something was believed.
    const firstBytes = Promise.withResolvers<void>();
    using _held = bench.origin.inject({ path: /\/blobs\//, method: 'GET', fault: { after: firstBytes.promise } });
    await parent.offer({ url, ...layer, lastPieceAfter: firstBytes.promise });
    const cut = getBlob(daemon, bench.origin.url, layer.digest, firstBytes.resolve);
    await expect(cut).rejects.toMatchObject({ message: 'terminated' });
    const again = await getBlob(daemon, bench.origin.url, layer.digest);
    expect(again).toMatchObject({ status: 200, digest: layer.digest });
    expect(again.ms).toBeLessThan(SECONDS_MS);
    await expectConvicted(daemon, scheduler, 'bad-falseVoucher', 'falseVoucher');
    expectEveryByteOnce(bench.origin, [layer]);
  });

  it('is good enough once the whole has matched: a relay without vouchers spares the origin', async () => {
    const { scheduler, daemons } = bench.cluster;
    const [daemon] = daemons;
    if (scheduler === undefined || daemon === undefined) throw new Error('a daemon runs');
    const { layer, url, content } = await publishLayer('unvouched');
    await using parent = await startBadParent(scheduler.port, 'unvouched');
    await parent.offer({ url, ...layer, content });
    expect(await getBlob(daemon, bench.origin.url, layer.digest)).toMatchObject({ status: 200, digest: layer.digest });
    expect(fetchedAgain(layer)).toEqual([]);
    expect(blamed(daemon.lines, 'bad-unvouched', '')).toEqual([]);
  });
});

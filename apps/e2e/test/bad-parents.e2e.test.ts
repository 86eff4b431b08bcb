import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type BlobDescriptor, blobsOf } from '@d7y/testkit';
import { startBadParent } from './_bad-parent.ts';
import { expectEveryByteOnce, type PullBench, startPullBench } from './_cluster.ts';
import { getBlob } from './_traffic.ts';

const MIB = 2 ** 20;
/** Tells seconds from minutes. */
const SECONDS_MS = 30_000;
/** Asked of one parent before the first of them has come. */
const PIECES_AT_A_TIME = 4;

let bench: PullBench;

beforeAll(async () => {
  bench = await startPullBench({ daemons: 1, seeds: 0, schedulerConfig: { scheduler: { settleTime: '0s' } } });
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

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
    const image = await bench.publish({ tag: misbehaviour.toLowerCase(), layerBytes: [26 * MIB, 14 * MIB] });
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
    if (misbehaviour !== 'otherBlob') expect(askedForPieces).toBeLessThanOrEqual(PIECES_AT_A_TIME);
    const reason = misbehaviour === 'mute' || misbehaviour === 'silent' ? 'stalled' : 'wrongBytes';
    const blame = daemon.lines.filter((line) => line.includes('a peer is not trusted any more'));
    expect(blame.filter((line) => line.includes(`bad-${misbehaviour}`) && line.includes(reason))).toHaveLength(1);

    const next = await getBlob(daemon, bench.origin.url, second.digest);
    expect(next).toMatchObject({ status: 200, digest: second.digest });
    expect({ ...parent }).toMatchObject({ askedForNews, askedForPieces });
    expectEveryByteOnce(bench.origin, layers);
  });
});

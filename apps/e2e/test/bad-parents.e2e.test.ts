import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type BlobDescriptor, blobsOf } from '@d7y/testkit';
import { startBadParent } from './_bad-parent.ts';
import { type PullBench, startPullBench } from './_cluster.ts';
import { getBlob } from './_traffic.ts';

const MIB = 2 ** 20;
/** Tells seconds from minutes. */
const SECONDS_MS = 30_000;

let bench: PullBench;

beforeAll(async () => {
  bench = await startPullBench({ daemons: 1, seeds: 0, schedulerConfig: { scheduler: { settleTime: '0s' } } });
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

describe('a parent', () => {
  it.each([
    ['that accepts and never answers', 'silent'],
    ['whose bytes do not match the digest it announces', 'otherDigest'],
    ['whose bytes match its digest but are not those of the blob', 'otherBlob'],
  ] as const)('%s costs a pull seconds, and is not asked for the next blob', async (_what, misbehaviour) => {
    const { scheduler } = bench.cluster;
    const [daemon] = bench.cluster.daemons;
    if (scheduler === undefined || daemon === undefined) throw new Error('a scheduler and a daemon were asked for');
    const image = await bench.publish({ tag: misbehaviour.toLowerCase(), layerBytes: [13 * MIB, 14 * MIB] });
    const [first, second] = blobsOf(image.layout).filter(({ size }) => size > MIB) as [BlobDescriptor, BlobDescriptor];
    await using parent = await startBadParent(scheduler.port, misbehaviour);
    for (const { digest, size } of [first, second]) {
      await parent.offer({ url: `${bench.origin.url}/v2/test/app/blobs/${digest}`, digest, size });
    }

    const got = await getBlob(daemon, bench.origin.url, first.digest);
    expect(got).toMatchObject({ status: 200, digest: first.digest });
    expect(got.ms).toBeLessThan(SECONDS_MS);
    const asked = [...parent.asked.values()].reduce((sum, times) => sum + times, 0);
    expect(asked).toBeGreaterThan(0);

    const next = await getBlob(daemon, bench.origin.url, second.digest);
    expect(next).toMatchObject({ status: 200, digest: second.digest });
    expect([...parent.asked.values()].reduce((sum, times) => sum + times, 0)).toBe(asked);
    expect(daemon.lines.some((line) => line.includes('127.0.0.1-bad-'))).toBe(true);
  });
});

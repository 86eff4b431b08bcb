import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type BlobDescriptor, blobsOf, type DaemonNode } from '@d7y/testkit';
import { startBadParent } from './_bad-parent.ts';
import { expectEveryByteOnce, type PullBench, startPullBench } from './_cluster.ts';
import { getBlob } from './_traffic.ts';

const MIB = 2 ** 20;
/** What a parent that is of no use may cost: it is noticed after 1.5 s, and asking elsewhere takes a moment. */
const COST_MS = 2_500;
/** Where nobody else has it: the origin is asked after 5 s without progress. */
const ALONE_COST_MS = 6_500;
/** For a machine that does other things at the same time. */
const SLACK_MS = 10_000;
const FULL = process.env['D7Y_TEST_FULL'] === '1';

const TRICKLING = ['at 1 KB/s', 'trickling'] as const;
const HEADER_ONLY = ['that describes the piece and sends nothing of it', 'headerOnly'] as const;
const CUTTING = ['that hangs up in the middle of each piece', 'cutting'] as const;
/** With good ones beside them these are in bad-parents as well. */
const ANSWERLESS = [
  ['that takes the request and never answers', 'silent'],
  ['that takes calls and never answers', 'mute'],
] as const;

let bench: PullBench;

beforeAll(async () => {
  bench = await startPullBench({ daemons: 2, seeds: 0, schedulerConfig: { scheduler: { settleTime: '0s' } } });
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

const cluster = (): { readonly schedulerPort: number; readonly daemons: readonly [DaemonNode, DaemonNode] } => {
  const { scheduler, daemons } = bench.cluster;
  const [first, second] = daemons;
  if (scheduler === undefined || first === undefined || second === undefined) throw new Error('too few processes');
  return { schedulerPort: scheduler.port, daemons: [first, second] };
};

/** Of another content each time, so that a second try of a test has something to fetch. */
let published = 0;

async function publishLayer(tag: string, size: number): Promise<BlobDescriptor> {
  const image = await bench.publish({ tag: `${tag}-${++published}`, layerBytes: [size] });
  const layer = blobsOf(image.layout).find((blob) => blob.size > MIB);
  if (layer === undefined) throw new Error('an image without its layer');
  bench.origin.log.clear();
  return layer;
}

const urlOf = ({ digest }: BlobDescriptor): string => `${bench.origin.url}/v2/test/app/blobs/${digest}`;

describe('a parent', () => {
  it.each([TRICKLING, CUTTING, ...(FULL ? [HEADER_ONLY, ...ANSWERLESS] : [])])(
    'weakness 35: %s costs little beside a good one, and no byte of the registry',
    async (_what, misbehaviour) => {
      const { schedulerPort, daemons } = cluster();
      const layer = await publishLayer(`beside-${misbehaviour.toLowerCase()}`, 40 * MIB);
      await getBlob(daemons[0], bench.origin.url, layer.digest);
      await using parent = await startBadParent(schedulerPort, misbehaviour);
      await parent.offer({ url: urlOf(layer), digest: layer.digest, size: layer.size });
      const got = await getBlob(daemons[1], bench.origin.url, layer.digest);
      expect(got).toMatchObject({ status: 200, digest: layer.digest });
      expect(got.ms).toBeLessThan(COST_MS + SLACK_MS);
      expectEveryByteOnce(bench.origin, [layer]);
    },
  );

  it.each([HEADER_ONLY, ...(FULL ? [TRICKLING, ...ANSWERLESS] : [])])(
    '%s costs five seconds where nobody else has the blob',
    async (_what, misbehaviour) => {
      const { schedulerPort, daemons } = cluster();
      const layer = await publishLayer(`alone-${misbehaviour.toLowerCase()}`, 26 * MIB);
      await using parent = await startBadParent(schedulerPort, misbehaviour);
      await parent.offer({ url: urlOf(layer), digest: layer.digest, size: layer.size });
      // The other daemon has met this parent, and would not ask it.
      const got = await getBlob(daemons[0], bench.origin.url, layer.digest);
      expect(got).toMatchObject({ status: 200, digest: layer.digest });
      expect(parent.askedForNews).toBe(1);
      expect(got.ms).toBeLessThan(ALONE_COST_MS + SLACK_MS);
      expectEveryByteOnce(bench.origin, [layer]);
    },
  );
});

describe('a registry', () => {
  it('that answers 500 to everything does not keep a blob from a node that can have it from another', async () => {
    const { daemons } = cluster();
    const layer = await publishLayer('broken', 26 * MIB);
    await getBlob(daemons[0], bench.origin.url, layer.digest);
    using _broken = bench.origin.inject({ path: /\/blobs\//, fault: { status: 500 } });
    const got = await getBlob(daemons[1], bench.origin.url, layer.digest);
    expect(got).toMatchObject({ status: 200, digest: layer.digest });
  });

  it.each([
    ['answers 500 a few times', { status: 500 }],
    ['cuts bodies off in the middle', { cutAfterBytes: 3 * MIB + 7 }],
  ])('that %s costs a few tries', async (what, fault) => {
    const { daemons } = cluster();
    const layer = await publishLayer(what.replaceAll(' ', '-'), 26 * MIB);
    using met = bench.origin.inject({ path: /\/blobs\//, method: 'GET', times: 3, fault });
    const got = await getBlob(daemons[1], bench.origin.url, layer.digest);
    expect(got).toMatchObject({ status: 200, digest: layer.digest });
    expect(met.met).toBe(3);
  });
});

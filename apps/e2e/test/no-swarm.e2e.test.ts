import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { blobsOf, type Containerd, containerdContent, ctrPull, emptyContainerd } from '@d7y/testkit';
import { expectEveryByteOnce, expectHolds, type PullBench, startPullBench } from './_cluster.ts';
import { getBlob } from './_traffic.ts';

const MIB = 2 ** 20;

let bench: PullBench;
let node: Containerd;

beforeAll(async () => {
  bench = await startPullBench({ daemons: 1, seeds: 0, scheduler: false });
  const [daemon] = bench.cluster.daemons;
  if (daemon === undefined) throw new Error('a daemon was asked for');
  node = await bench.containerd(daemon);
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

describe('a daemon without scheduler and peers', () => {
  it('weakness 32: gets an image straight from the registry, each byte once', async () => {
    const image = await bench.publish({ tag: 'alone' });
    bench.origin.log.clear();
    await ctrPull(node, image.name);
    expectHolds(await containerdContent(node), image);
    expectEveryByteOnce(bench.origin, blobsOf(image.layout));
    await emptyContainerd(node);
  });

  it('obeys a registry that asks to be left alone for a while', async () => {
    const image = await bench.publish({ tag: 'busy', layerBytes: [9 * MIB] });
    const layer = blobsOf(image.layout).find(({ size }) => size > MIB);
    const [daemon] = bench.cluster.daemons;
    if (layer === undefined || daemon === undefined) throw new Error('a layer and a daemon were asked for');
    bench.origin.log.clear();
    using busy = bench.origin.inject({
      path: new RegExp(layer.digest),
      times: 1,
      fault: { status: 429, headers: { 'retry-after': '3' } },
    });
    const got = await getBlob(daemon, bench.origin.url, layer.digest);
    expect(got).toMatchObject({ status: 200, digest: layer.digest });
    expect(busy.met).toBe(1);
    const asked = bench.origin.log.requests.filter(({ path }) => path.endsWith(layer.digest));
    expect(asked[0]?.status).toBe(429);
    expect((asked[1]?.at ?? 0) - (asked[0]?.at ?? 0)).toBeGreaterThanOrEqual(3000);
    expectEveryByteOnce(bench.origin, [layer]);
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { blobsOf, type Containerd, containerdContent, criPull, ctrPull } from '@d7y/testkit';
import { expectEveryByteOnce, expectHolds, type PullBench, startPullBench } from './_cluster.ts';

let bench: PullBench;
let nodes: Containerd[];

beforeAll(async () => {
  bench = await startPullBench({ daemons: 3 });
  nodes = await Promise.all(bench.cluster.daemons.map((daemon) => bench.containerd(daemon, { cri: true })));
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

describe('three containerds, each through its own daemon, cold and at the same time', () => {
  it('get an image of six layers by ctr, and every byte leaves the registry once', async () => {
    const image = await bench.publish({ tag: 'ctr' });
    bench.origin.log.clear();
    await Promise.all(nodes.map((node) => ctrPull(node, image.name)));
    for (const node of nodes) expectHolds(await containerdContent(node), image);
    expectEveryByteOnce(bench.origin, blobsOf(image.layout));
  });

  it('get it by the image service of Kubernetes, and every byte leaves the registry once', async () => {
    const image = await bench.publish({ tag: 'cri' });
    bench.origin.log.clear();
    const ids = await Promise.all(nodes.map((node) => criPull(node, image.name)));
    expect(new Set(ids)).toEqual(new Set([blobsOf(image.layout)[0]?.digest]));
    for (const node of nodes) expectHolds(await containerdContent(node), image);
    expectEveryByteOnce(bench.origin, blobsOf(image.layout));
  });

  it('get all platforms of an index, and every byte leaves the registry once', async () => {
    const architectures = ['amd64', 'arm64'];
    const image = await bench.publish({
      tag: 'index',
      architectures,
      layerBytes: [5 * 1024, 3 * 2 ** 20, 12 * 2 ** 20],
    });
    bench.origin.log.clear();
    await Promise.all(nodes.map((node) => ctrPull(node, image.name, { allPlatforms: true })));
    for (const architecture of architectures) {
      for (const node of nodes) expectHolds(await containerdContent(node), image, architecture);
      expectEveryByteOnce(bench.origin, blobsOf(image.layout, architecture));
    }
  });
});

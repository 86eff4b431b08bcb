import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { blobsOf, containerdContent, type Containerd, ctrPull, emptyContainerd } from '@d7y/testkit';
import { expectEveryByteOnce, expectHolds, type PublishedImage, type PullBench, startPullBench } from './_cluster.ts';

let bench: PullBench;
let image: PublishedImage;
let nodes: Containerd[];

beforeAll(async () => {
  bench = await startPullBench({ daemons: 2 });
  image = await bench.publish({ tag: 'warm' });
  nodes = await Promise.all(bench.cluster.daemons.map((daemon) => bench.containerd(daemon)));
  bench.origin.log.clear();
  await Promise.all(nodes.map((node) => ctrPull(node, image.name)));
  expectEveryByteOnce(bench.origin, blobsOf(image.layout));
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

describe('an image that the swarm holds', () => {
  it('is pulled again without a request for a blob to the registry', async () => {
    await Promise.all(nodes.map((node) => emptyContainerd(node)));
    bench.origin.log.clear();
    await Promise.all(nodes.map((node) => ctrPull(node, image.name)));
    for (const node of nodes) expectHolds(await containerdContent(node), image);
    expect(bench.origin.log.requests.filter(({ path }) => path.includes('/blobs/'))).toEqual([]);
  });

  it('reaches a daemon that joins later from its peers alone', async () => {
    const late = await bench.cluster.addDaemon();
    const node = await bench.containerd(late);
    bench.origin.log.clear();
    using _blocked = bench.origin.blockBlobs();
    await ctrPull(node, image.name);
    expectHolds(await containerdContent(node), image);
  });
});

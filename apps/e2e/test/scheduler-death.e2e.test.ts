import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { blobsOf, type Containerd, containerdContent, criPull, eventually } from '@d7y/testkit';
import { expectEveryByteOnce, expectHolds, type PullBench, startPullBench } from './_cluster.ts';
import { registrationsOf, trafficOf } from './_traffic.ts';

const MIB = 2 ** 20;
/** More layers than the three that the image service fetches at a time. */
const TEN_LAYERS = Array.from({ length: 10 }, (_, index) => (3 + index) * MIB);

let bench: PullBench;
let nodes: Containerd[];

beforeAll(async () => {
  bench = await startPullBench({ daemons: 3 });
  nodes = await Promise.all(bench.cluster.daemons.map((daemon) => bench.containerd(daemon, { cri: true })));
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

const blobBytes = (): number =>
  bench.origin.log.requests
    .filter(({ path }) => path.includes('/blobs/'))
    .reduce((sum, { sentBytes }) => sum + sentBytes, 0);

const isMeeting = (line: string): boolean => line.includes('a scheduler is there');

describe('a scheduler that is killed in the middle of three pulls', () => {
  it('costs no pull and no second byte from the registry, and is used again when it is back', async () => {
    const { scheduler, seeds, daemons } = bench.cluster;
    if (scheduler === undefined) throw new Error('a scheduler was asked for');
    const image = await bench.publish({ tag: 'before', layerBytes: TEN_LAYERS });
    bench.origin.log.clear();
    const slow = bench.origin.inject({ path: /\/blobs\//, fault: { bytesPerSec: 4 * MIB } });
    const pulls = Promise.all(nodes.map((node) => criPull(node, image.name)));
    await eventually(() => expect(blobBytes()).toBeGreaterThan(8 * MIB), { intervalMs: 10 });
    await scheduler.kill('SIGKILL');
    const begun = new Set(bench.origin.log.requests.map(({ path }) => path).filter((path) => path.includes('/blobs/')));
    expect(begun.size).toBeLessThan(blobsOf(image.layout).length);
    slow[Symbol.dispose]();
    await pulls;
    for (const node of nodes) expectHolds(await containerdContent(node), image);
    expectEveryByteOnce(bench.origin, blobsOf(image.layout));

    const before = await Promise.all(daemons.map(trafficOf));
    const meetings = () => [...seeds, ...daemons].map(({ lines }) => lines.filter(isMeeting).length);
    const met = meetings();
    await scheduler.start();
    await eventually(() => {
      for (const [index, count] of meetings().entries()) expect(count).toBeGreaterThan(met[index] ?? 0);
    });
    const next = await bench.publish({ tag: 'after', layerBytes: [5 * MIB, 20 * MIB] });
    bench.origin.log.clear();
    await Promise.all(nodes.map((node) => criPull(node, next.name)));
    for (const node of nodes) expectHolds(await containerdContent(node), next);
    expectEveryByteOnce(bench.origin, blobsOf(next.layout));
    const after = await Promise.all(daemons.map(trafficOf));
    for (const [index, { remotePeer }] of after.entries()) {
      expect(remotePeer - (before[index]?.remotePeer ?? 0)).toBeGreaterThan(25 * MIB);
    }
    // Without the scheduler the seed would be found too: it was asked, by everybody for everything.
    expect(await registrationsOf(scheduler)).toBeGreaterThanOrEqual(daemons.length * blobsOf(next.layout).length);
  });

  it('costs no pull, and one layer from the registry at most, when it is back before they end', async () => {
    const { scheduler } = bench.cluster;
    if (scheduler === undefined) throw new Error('a scheduler was asked for');
    const image = await bench.publish({ tag: 'meanwhile', layerBytes: TEN_LAYERS });
    bench.origin.log.clear();
    const slow = bench.origin.inject({ path: /\/blobs\//, fault: { bytesPerSec: 2 * MIB } });
    let underWay = true;
    const pulls = Promise.all(nodes.map((node) => criPull(node, image.name))).finally(() => (underWay = false));
    await eventually(() => expect(blobBytes()).toBeGreaterThan(8 * MIB), { intervalMs: 10 });
    await scheduler.kill('SIGKILL');
    await scheduler.start();
    await eventually(async () => expect(await registrationsOf(scheduler)).toBeGreaterThan(0), { intervalMs: 20 });
    expect(underWay).toBe(true);
    slow[Symbol.dispose]();
    await pulls;
    for (const node of nodes) expectHolds(await containerdContent(node), image);
    // Who asks the new scheduler for a layer while another daemon without one has asked the seed may be sent to the registry as well.
    const sizes = blobsOf(image.layout).map(({ size }) => size);
    expect(blobBytes()).toBeLessThanOrEqual(sizes.reduce((sum, size) => sum + size, 0) + Math.max(...sizes));
  });
});

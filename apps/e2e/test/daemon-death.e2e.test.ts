import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  blobsOf,
  type Containerd,
  containerdContent,
  ctrPull,
  directoryContent,
  eventually,
  skopeoCopy,
  writeRegistriesConf,
} from '@d7y/testkit';
import { expectEveryByteOnce, expectHolds, type PullBench, startPullBench } from './_cluster.ts';
import { heldBytes, trafficOf } from './_traffic.ts';

const MIB = 2 ** 20;

let bench: PullBench;
let nodes: Containerd[];

beforeAll(async () => {
  bench = await startPullBench({ daemons: 3 });
  nodes = await Promise.all(bench.cluster.daemons.slice(0, 2).map((daemon) => bench.containerd(daemon)));
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

describe('a daemon that is killed in the middle of its pull', () => {
  it('costs the other pulls nothing, and goes on from the pieces on its disk', async () => {
    const victim = bench.cluster.daemons[2];
    if (victim === undefined) throw new Error('three daemons were asked for');
    const image = await bench.publish({ tag: 'killed', seed: randomUUID(), layerBytes: [64 * MIB] });
    const size = blobsOf(image.layout).reduce((sum, blob) => sum + blob.size, 0);
    bench.origin.log.clear();
    const registriesConf = await writeRegistriesConf(bench.scratch, {
      registry: bench.origin.host,
      mirror: victim.proxyHost,
    });
    const slow = bench.origin.inject({ path: /\/blobs\//, fault: { bytesPerSec: 2 * MIB } });
    const others = Promise.all(nodes.map((node) => ctrPull(node, image.name)));
    // This client knows no other host for a blob once it has begun with the mirror.
    const broken = skopeoCopy(image.name, join(bench.scratch, 'first'), { registriesConf }).then(
      () => 'copied',
      () => 'failed',
    );
    // The seed reads four runs of pieces at 2 MiB/s each. What is here may be in four pieces that are not whole: 16 MiB at the most.
    await eventually(async () => expect((await trafficOf(victim)).remotePeer).toBeGreaterThan(29 * MIB), {
      timeoutMs: 30_000,
      intervalMs: 20,
    });
    await victim.kill('SIGKILL');
    expect(await broken).toBe('failed');
    slow[Symbol.dispose]();
    await others;
    for (const node of nodes) expectHolds(await containerdContent(node), image);
    expectEveryByteOnce(bench.origin, blobsOf(image.layout));

    await victim.start();
    const held = (await Promise.all(blobsOf(image.layout).map((blob) => heldBytes(victim, blob)))).reduce(
      (sum, bytes) => sum + bytes,
    );
    expect(held).toBeGreaterThanOrEqual(12 * MIB);
    expect(held).toBeLessThan(size - 4 * MIB);
    await skopeoCopy(image.name, join(bench.scratch, 'second'), { registriesConf });
    const copied = Object.fromEntries(await directoryContent(join(bench.scratch, 'second')));
    expect(copied).toMatchObject(Object.fromEntries(blobsOf(image.layout).map(({ digest, size }) => [digest, size])));
    expect(await trafficOf(victim)).toEqual({ backToSource: 0, remotePeer: size - held });
    expectEveryByteOnce(bench.origin, blobsOf(image.layout));
  });
});

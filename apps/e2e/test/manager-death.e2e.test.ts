import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { blobsOf, eventually } from '@d7y/testkit';
import { expectEveryByteOnce, type PublishedImage, type PullBench, startPullBench } from './_cluster.ts';
import { type ControlPlane, startControlPlane } from './_control-plane.ts';
import { runApp } from './_program.ts';
import { getBlob, registrationsOf, trafficOf } from './_traffic.ts';

const MIB = 2 ** 20;
const TOLD_EARLIER = 'the manager does not answer; what it said last stands';

let plane: ControlPlane;
let bench: PullBench;

beforeAll(async () => {
  plane = await startControlPlane({ queue: 'postgres' });
  bench = await startPullBench({
    daemons: 2,
    schedulerConfig: plane.schedulerConfig(),
    // From their manager alone they know where the scheduler is.
    daemonConfig: {
      manager: { addr: `http://${plane.managers[0]?.grpcAddress}` },
      dynconfig: { refreshInterval: '1s' },
    },
  });
  await plane.knows(bench.cluster);
});

afterAll(async () => {
  await bench?.[Symbol.asyncDispose]();
  await plane?.[Symbol.asyncDispose]();
});

const manager = () => {
  const [first] = plane.managers;
  if (first === undefined) throw new Error('a manager was asked for');
  return first.node;
};

const bodyBytes = (): number => bench.origin.log.requests.reduce((sum, { sentBytes }) => sum + sentBytes, 0);

/** Of another content each time, so that a second try of a test has something to fetch. */
let published = 0;

async function publish(layerBytes: readonly number[]): Promise<PublishedImage> {
  const image = await bench.publish({ tag: `v${++published}`, layerBytes });
  bench.origin.log.clear();
  return image;
}

/** Pulls all blobs through both daemons at once; each must come whole, and leave the registry once. */
async function pullOnBoth(image: PublishedImage): Promise<void> {
  const blobs = blobsOf(image.layout);
  await Promise.all(
    bench.cluster.daemons.flatMap((daemon) =>
      blobs.map(async ({ digest }) =>
        expect(await getBlob(daemon, bench.origin.url, digest)).toMatchObject({ status: 200, digest }),
      ),
    ),
  );
  expectEveryByteOnce(bench.origin, blobs);
}

describe('a manager that is killed', () => {
  it('in the middle of pulls breaks none, and scheduler and daemons go on without it', async () => {
    const { scheduler, daemons } = bench.cluster;
    if (scheduler === undefined) throw new Error('a scheduler was asked for');
    const image = await publish([12 * MIB, 20 * MIB]);
    const slow = bench.origin.inject({ path: /\/blobs\//, fault: { bytesPerSec: 2 * MIB } });
    let underWay = true;
    const pulls = pullOnBoth(image).finally(() => (underWay = false));
    pulls.catch(() => undefined); // told of below
    await eventually(() => expect(bodyBytes()).toBeGreaterThan(2 * MIB), { intervalMs: 10 });
    await manager().kill('SIGKILL');
    expect(underWay).toBe(true);
    slow[Symbol.dispose]();
    await pulls;

    const told = () => daemons.map(({ lines }) => lines.filter((line) => line.includes(TOLD_EARLIER)).length);
    await eventually(() => expect(Math.min(...told())).toBeGreaterThan(0));
    const [before, registered] = [await Promise.all(daemons.map(trafficOf)), await registrationsOf(scheduler)];
    const next = await publish([20 * MIB]);
    await pullOnBoth(next);
    const after = await Promise.all(daemons.map(trafficOf));
    // Both had it from the swarm: the seed fetched it, as the scheduler arranged.
    for (const [index, { remotePeer }] of after.entries())
      expect(remotePeer - (before[index]?.remotePeer ?? 0)).toBeGreaterThan(10 * MIB);
    expect(await registrationsOf(scheduler)).toBeGreaterThanOrEqual(registered + daemons.length);
  });

  it('is not missed by a daemon that starts meanwhile: it knows what it was told earlier', async () => {
    await manager().kill('SIGKILL');
    const [first, second] = bench.cluster.daemons;
    if (first === undefined || second === undefined) throw new Error('two daemons were asked for');
    await second.kill('SIGKILL');
    const seenBefore = second.lines.length;
    await second.start();
    await eventually(() => {
      const lines = second.lines.slice(seenBefore);
      for (const text of [TOLD_EARLIER, 'a scheduler is there'])
        expect(lines.filter((line) => line.includes(text)).length).toBeGreaterThan(0);
    });
    const image = await publish([20 * MIB]);
    await pullOnBoth(image);
    expect((await trafficOf(second)).remotePeer).toBeGreaterThan(10 * MIB);
  });

  it('hears of everybody when it is back, and root gets in with the password that the command prints', async () => {
    await manager().kill('SIGKILL');
    await manager().start();
    await plane.knows(bench.cluster);
    const config = join(manager().dir, 'manager-0.yaml');
    const ended = await runApp('manager', { args: ['reset-password', '--config', config, '--user', 'root'] });
    expect(ended).toMatchObject({ code: 0, stderr: [], stdout: [expect.stringMatching(/^[\w-]{20}$/)] });
    const signIn = await fetch(`${plane.managers[0]?.url}/api/v1/users/signin`, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
      body: JSON.stringify({ name: 'root', password: ended.stdout[0] }),
    });
    expect(signIn.status).toBe(200);
    const wrong = await runApp('manager', { args: ['reset-password', '--config', config, '--user', 'nobody'] });
    expect(wrong).toMatchObject({ code: 1, stdout: [], stderr: ['no user is named nobody'] });
  });
});

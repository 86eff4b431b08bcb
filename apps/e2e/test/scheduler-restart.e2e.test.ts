import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Cluster, type FileOrigin, pseudoRandomBytes, startCluster, startFileOrigin } from '@d7y/testkit';
import { publishBlob, pullVerified, type PublishedBlob } from './_verified-pull.ts';

const MIB = 2 ** 20;
const KILLS = process.env['D7Y_TEST_FULL'] === '1' ? 40 : 4;
/** Latest moment of a kill after the pulls of its round began. */
const MAX_LIFE_MS = 700;

let origin: FileOrigin;
let cluster: Cluster;

beforeAll(async () => {
  origin = await startFileOrigin();
  cluster = await startCluster({ daemons: 2 });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

const sentOf = ({ path }: PublishedBlob): number =>
  origin.log.requests.filter((each) => each.path === path).reduce((sum, { sentBytes }) => sum + sentBytes, 0);

describe('a scheduler that is killed again and again at random moments', () => {
  it('costs no pull, and is of use to a daemon that was never there before', async () => {
    const { scheduler, daemons } = cluster;
    if (scheduler === undefined) throw new Error('a scheduler was asked for');
    const blobs: PublishedBlob[] = [];
    for (let round = 0; round < KILLS; round++) {
      const blob = publishBlob(origin, pseudoRandomBytes(`restart-${round}`, 9 * MIB + 1 + round * 12_345));
      blobs.push(blob);
      const pulls = daemons.map((daemon) => pullVerified(daemon, origin, blob));
      await sleep(MAX_LIFE_MS * Math.random());
      await scheduler.kill('SIGKILL');
      await scheduler.start();
      for (const end of await Promise.all(pulls)) expect(end).toEqual({ received: blob.bytes.length, isWhole: true });
    }
    // What the last journal says and what the daemons say again is all that there is.
    await scheduler.kill('SIGKILL');
    await scheduler.start();
    const before = blobs.map(sentOf);
    const fresh = await cluster.addDaemon();
    for (const blob of blobs)
      expect(await pullVerified(fresh, origin, blob)).toEqual({ received: blob.bytes.length, isWhole: true });
    expect(blobs.map(sentOf)).toEqual(before);
  });
});

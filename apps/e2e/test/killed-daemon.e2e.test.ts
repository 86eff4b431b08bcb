import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Cluster, type FileOrigin, pseudoRandomBytes, startCluster, startFileOrigin } from '@d7y/testkit';
import { publishBlob, pullVerified, type PublishedBlob } from './_verified-pull.ts';

const MIB = 2 ** 20;
const ROUNDS = process.env['D7Y_TEST_FULL'] === '1' ? 50 : 8;
/** Latest moment of a kill after the pulls began. */
const MAX_LIFE_MS = 700;

let origin: FileOrigin;
let cluster: Cluster;

beforeAll(async () => {
  origin = await startFileOrigin();
  cluster = await startCluster({ daemons: 1 });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

describe('a daemon that is killed again and again at random moments', () => {
  it(
    'never serves a wrong byte, before or after, and has everything in the end',
    async () => {
      const [daemon] = cluster.daemons;
      const [seed] = cluster.seeds;
      if (daemon === undefined || seed === undefined) throw new Error('a daemon and a seed were asked for');
      const blobs: PublishedBlob[] = [];
      let cutOff = 0;
      for (let round = 0; round < ROUNDS; round++) {
        // Odd sizes: the last piece is short. Each round has a new blob beside those that were cut off before.
        blobs.push(publishBlob(origin, pseudoRandomBytes(`killed-${round}`, 13 * MIB + 1 + round * 12_345)));
        const pulls = blobs.slice(-3).map((blob) => pullVerified(daemon, origin, blob));
        await sleep(MAX_LIFE_MS * Math.random());
        // Now and then the one that others fetch from dies too.
        const victims = round % 4 === 3 ? [daemon, seed] : [daemon];
        await Promise.all(victims.map((victim) => victim.kill('SIGKILL')));
        const ends = await Promise.all(pulls);
        cutOff += ends.filter(({ isWhole }) => !isWhole).length;
        await Promise.all(victims.map((victim) => victim.start()));
      }
      for (const blob of blobs) {
        // What a kill cut off is fetched to its end, what was whole is served from the disk.
        for (let time = 0; time < 2; time++) {
          expect(await pullVerified(daemon, origin, blob)).toEqual({ received: blob.bytes.length, isWhole: true });
        }
      }
      // Otherwise nothing was shown.
      expect(cutOff).toBeGreaterThan(0);
    },
    ROUNDS * 15_000,
  );
});

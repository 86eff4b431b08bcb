import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { pseudoRandomBytes, startCluster, startFileOrigin } from '@d7y/testkit';
import { getBlob } from './_traffic.ts';

const MIB = 1024 * 1024;
const BLOBS = 32;
const BLOB_BYTES = 16 * MIB;
/** What `tools/bench memory` allows for twice as many blobs is less; here a busy machine must not make the test fail. */
const BOUND_BYTES = 216 * MIB;

describe('the memory of a daemon', () => {
  it('stays bounded while it fetches many blobs at once, and so does that of its seed', async () => {
    await using origin = await startFileOrigin();
    await using cluster = await startCluster({ daemons: 1, seeds: 1 });
    const [daemon] = cluster.daemons;
    if (daemon === undefined) throw new RangeError('the cluster has one daemon');
    // Blobs overlap: all are different, and together they take little of the memory of this process.
    const content = pseudoRandomBytes('memory', BLOB_BYTES + BLOBS);
    const digests = Array.from({ length: BLOBS }, (_, number) => {
      const bytes = content.subarray(number, number + BLOB_BYTES);
      const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
      origin.publish(`/v2/test/app/blobs/${digest}`, { bytes });
      return digest;
    });

    const pulls = await Promise.all(digests.map((digest) => getBlob(daemon, origin.url, digest)));

    for (const [number, pull] of pulls.entries()) expect(pull).toMatchObject({ status: 200, digest: digests[number] });
    for (const node of [daemon, ...cluster.seeds]) expect(node.program.usage().peakRssBytes).toBeLessThan(BOUND_BYTES);
  });
});

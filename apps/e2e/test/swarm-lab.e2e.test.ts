import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import {
  type LabDaemon,
  onHost,
  pseudoRandomBytes,
  run,
  startLabCluster,
  startNetworkLab,
  tempDir,
} from '@d7y/testkit';
import { startLabOrigin } from './_lab-origin.ts';

const DAEMONS = 4;
const BYTES = 40 * 2 ** 20;
const MBIT_PER_SEC = 100;

describe('hosts that want the same blob at once, each behind a link of its own', () => {
  it('get it from each other: it leaves the origin once, and the seed less often than there are hosts', async () => {
    await using scratch = await tempDir('d7y-swarm-lab');
    const blob = pseudoRandomBytes('swarm lab', BYTES);
    const digest = createHash('sha256').update(blob).digest('hex');
    const file = join(scratch.path, 'blob');
    await writeFile(file, blob);
    await using lab = await startNetworkLab({ hosts: DAEMONS + 3, mbitPerSec: MBIT_PER_SEC });
    const [originHost, ...others] = lab.hosts;
    if (originHost === undefined) throw new Error('a lab without hosts');
    await using origin = await startLabOrigin(originHost, scratch.path, file);
    await using cluster = await startLabCluster({ hosts: others });
    const pull = async ({ node, host }: LabDaemon): Promise<string> => {
      const url = `${node.proxyUrl}/v2/test/blobs/sha256:${digest}`;
      const script = `curl -sS --fail --noproxy '*' -H 'X-Dragonfly-Registry: ${origin.url}' '${url}' | sha256sum`;
      const [command = '', ...args] = onHost(host, 'bash', ['-o', 'pipefail', '-c', script]);
      return (await run(command, args, { timeoutMs: 120_000 })).stdout.split(' ')[0] ?? '';
    };
    const sentOf = async ({ host }: LabDaemon): Promise<number> => (await lab.traffic(host)).sentBytes / BYTES;
    const seedBefore = await sentOf(cluster.seed);
    expect(await Promise.all(cluster.daemons.map(pull))).toEqual(new Array(DAEMONS).fill(digest));
    expect(await origin.sentBytes()).toBe(BYTES);
    expect((await sentOf(cluster.seed)) - seedBefore).toBeLessThan(2.5);
    const sent = await Promise.all(cluster.daemons.map(sentOf));
    // All of them bring something.
    expect(Math.min(...sent)).toBeGreaterThan(0.1);
  });
});

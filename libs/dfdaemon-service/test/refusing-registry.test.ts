import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { blobPath, contentOf, DaemonFarm, get } from './_cluster.ts';

describe('a registry that refuses connections', () => {
  it('makes a mirror client wait little for its first blob, and hardly for the next', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    await using farm = await DaemonFarm.create();
    const daemon = await farm.start('a');
    const tookMs: number[] = [];
    for (const seed of ['one', 'two', 'three']) {
      const startedAtMs = performance.now();
      const answer = await get({ port: daemon.ports.proxy }, `${blobPath(contentOf(seed, 1000))}?ns=127.0.0.1:${port}`);
      expect(answer.status).toBe(502);
      tookMs.push(Math.round(performance.now() - startedAtMs));
    }
    const [first = Infinity, ...others] = tookMs;
    expect(first).toBeLessThan(1_500);
    for (const ms of others) expect(ms).toBeLessThan(500);
  });
});

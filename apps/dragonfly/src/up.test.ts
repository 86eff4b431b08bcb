import { mkdtemp, readdir, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { startCluster } from './up.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'd7y-up-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

const { signal } = new AbortController();
const start = (portBase: number, proof: boolean) =>
  startCluster({ dataDir, portBase, proof, otlpEndpoint: undefined, logLevel: 'silent', env: {} }, { signal });

/** Somebody else's server. */
async function occupy(port: number): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** Below the range from which systems choose ports by themselves, and different for each process of a test run. */
const portBase = 10_000 + (process.pid % 20) * 500;

it('gets a file through three daemons while its origin sends it once, and keeps none of it', async () => {
  await using cluster = await start(portBase, true);
  const { proof } = cluster;
  expect(proof).toMatchObject({ holds: true, originBytes: 64 * 2 ** 20, contentBytes: 64 * 2 ** 20 });
  for (const row of proof?.rows ?? []) expect(row.fromSourceBytes + row.fromPeersBytes).toBe(64 * 2 ** 20);
  expect(cluster.rootPassword?.reveal()).toMatch(/^[\w-]{20}$/);
  const rest = `http://127.0.0.1:${cluster.plan.manager.restPort}`;
  expect((await fetch(`${rest}/healthy`)).status).toBe(200);
  expect((await fetch(`${rest}/api/v1/jobs/1`)).status).toBe(404); // open, and there is none
  expect((await fetch(`${rest}/api/v1/users`)).status).toBe(401);
  for (const name of ['seed', 'node-1', 'node-2', 'node-3']) {
    const kept = await readdir(join(dataDir, name, 'content', 'tasks'), { recursive: true });
    expect(kept.filter((path) => path.length > 60)).toEqual([]);
  }
}, 120_000);

it('names the option that helps when a port is taken', async () => {
  await using taken = await occupy(portBase + 1);
  await expect(start(portBase, false)).rejects.toThrow(new RegExp(`port ${taken.port} .*--port-base`));
}, 90_000);

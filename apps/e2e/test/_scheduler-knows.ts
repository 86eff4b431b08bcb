import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { scheduler as schedulerApi } from '@d7y/api';
import { eventually } from '@d7y/testkit';
import { expect } from '@jest/globals';

/** Waits until the scheduler at `host:port` has heard of so many daemons and seeds: who pulls before that fetches for itself. */
export async function schedulerKnows(address: string, hosts: number): Promise<void> {
  const client = createClient(schedulerApi.Scheduler, createGrpcTransport({ baseUrl: `http://${address}` }));
  await eventually(async () => expect((await client.listHosts({})).hosts).toHaveLength(hosts), { timeoutMs: 60_000 });
}

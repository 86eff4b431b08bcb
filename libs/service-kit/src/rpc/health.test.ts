import { describe, expect, it } from '@jest/globals';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import { health as api } from '@d7y/api';
import { createHealth } from './health.ts';

const SERVICE = 'dfdaemon.v2.DfdaemonUpload';

function setUp() {
  const health = createHealth();
  return {
    health,
    client: createClient(
      api.Health,
      createRouterTransport((router) => health.register(router)),
    ),
  };
}

describe('createHealth', () => {
  it('serves as a process from the start, and knows no service before it is set', async () => {
    const { health, client } = setUp();
    expect(await client.check({})).toMatchObject({ status: 1 });
    await expect(client.check({ service: SERVICE })).rejects.toMatchObject({ code: 5 });
    health.set(SERVICE, 'SERVING');
    expect(await client.check({ service: SERVICE })).toMatchObject({ status: 1 });
    health.set(SERVICE, 'NOT_SERVING');
    expect(await client.check({ service: SERVICE })).toMatchObject({ status: 2 });
  });

  it('tells a watcher the state at once and every change after, once each, until it leaves', async () => {
    const { health, client } = setUp();
    const controller = new AbortController();
    const seen: number[] = [];
    const watching = (async () => {
      for await (const { status } of client.watch({ service: SERVICE }, { signal: controller.signal })) {
        seen.push(status);
        if (seen.length === 1) health.set(SERVICE, 'SERVING');
        if (seen.length === 2) {
          health.set('other', 'NOT_SERVING');
          health.set(SERVICE, 'SERVING');
          health.set(SERVICE, 'NOT_SERVING');
        }
        if (seen.length === 3) controller.abort();
      }
    })();
    await expect(watching).rejects.toMatchObject({ code: 1 });
    expect(seen).toEqual([3, 1, 2]);
  });
});

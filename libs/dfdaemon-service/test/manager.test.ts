import { type manager as api, manager } from '@d7y/api';
import { listen, type Listener } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { silentLogger } from '../src/_silent-logger.ts';
import { readDfdaemonConfig } from '../src/index.ts';
import { blobPath, contentOf, DaemonFarm, get, startOrigin } from './_cluster.ts';

const CONTENT = contentOf('managed', 5 * 1024);
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

interface FakeManager extends AsyncDisposable {
  readonly port: number;
  readonly asked: api.ListSchedulersRequest[];
}

/** A manager of one cluster that blocks one tag for peers, and nothing for seeds. @param port 0: any */
async function startManager(port = 0): Promise<FakeManager> {
  const asked: api.ListSchedulersRequest[] = [];
  const listener: Listener = await listen({
    host: '127.0.0.1',
    port,
    logger: silentLogger,
    drainMs: 0,
    grpc: (router) =>
      void router.service(manager.Manager, {
        listSchedulers(request) {
          asked.push(request);
          const clientConfig = json({ block_list: { task: { download: { tags: ['forbidden'] } } } });
          return {
            schedulers: [
              { ip: '127.0.0.1', port: 1, schedulerClusterId: 7n, schedulerCluster: { id: 7n, clientConfig } },
            ],
          };
        },
      }),
  });
  return { port: listener.port, asked, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() };
}

describe('a daemon with a manager', () => {
  it('learns from it where schedulers are and what is blocked, and remembers both when it is gone', async () => {
    await using origin = await startOrigin(new Map([[blobPath(CONTENT), CONTENT]]));
    await using farm = await DaemonFarm.create();
    const gone = await startManager();
    const config = { manager: { addr: `http://127.0.0.1:${gone.port}` }, host: { ip: '127.0.0.1', idc: 'east' } };
    const ask = async (name: string, headers: Record<string, string>) => {
      await using daemon = await farm.start(name, config);
      const status = await untilSchedulers(daemon);
      const path = `${blobPath(CONTENT)}?ns=${origin.authority}`;
      const answer = await get({ port: daemon.ports.proxy }, path, headers);
      return { schedulers: status, status: answer.status };
    };
    const schedulers = [{ address: '127.0.0.1:1', reachable: false }];
    expect(await ask('managed', { 'x-dragonfly-tag': 'forbidden' })).toEqual({ schedulers, status: 403 });
    expect(gone.asked[0]).toMatchObject({
      sourceType: manager.SourceType.PEER_SOURCE,
      ip: '127.0.0.1',
      idc: 'east',
      schedulerClusterId: 0n,
    });
    await gone[Symbol.asyncDispose]();
    expect(await ask('managed', { 'x-dragonfly-tag': 'forbidden' })).toEqual({ schedulers, status: 403 });
    expect(await ask('managed', { 'x-dragonfly-tag': 'allowed' })).toEqual({ schedulers, status: 200 });
  });

  it('that never answered starts and serves pulls from the origin, and joins once it is there', async () => {
    await using origin = await startOrigin(new Map([[blobPath(CONTENT), CONTENT]]));
    await using farm = await DaemonFarm.create();
    const { port } = await startManager().then(async (gone) => {
      await gone[Symbol.asyncDispose]();
      return gone;
    });
    const daemon = await farm.start('early', { manager: { addr: `http://127.0.0.1:${port}` } });
    const pull = (tag: string) =>
      get({ port: daemon.ports.proxy }, `${blobPath(CONTENT)}?ns=${origin.authority}`, { 'x-dragonfly-tag': tag });
    const first = await pull('forbidden');
    expect([first.status, first.body.equals(CONTENT)]).toEqual([200, true]);
    expect((await daemon.status()).schedulers).toEqual([]);
    expect((await pull('forbidden')).body.equals(CONTENT)).toBe(true);
    expect(origin.sentBytes).toBe(CONTENT.length);

    await using _manager = await startManager(port);
    expect(await untilSchedulers(daemon)).toEqual([{ address: '127.0.0.1:1', reachable: false }]);
    expect((await pull('forbidden')).status).toBe(403);
    expect((await pull('allowed')).body.equals(CONTENT)).toBe(true);
  });
});

describe('manager.addr', () => {
  const read = (config: unknown) =>
    readDfdaemonConfig({ text: JSON.stringify(config), env: {}, uid: 0 }).config.manager;

  it('is read in every way in which it is written', () => {
    const expected = { host: 'manager.example', port: 65003, isSecure: false };
    for (const addr of ['manager.example:65003', 'http://manager.example:65003']) {
      expect(read({ manager: { addr } }).addr).toEqual(expected);
    }
    const older = {
      scheduler: { manager: { enable: true, netAddrs: [{ type: 'tcp', addr: 'manager.example:65003' }] } },
    };
    expect(read(older).netAddrs).toEqual([{ type: 'tcp', addr: expected }]);
    expect(read({ manager: { addr: 'https://[fd00::1]:65003' } }).addr).toMatchObject({
      host: 'fd00::1',
      isSecure: true,
    });
  });

  it('is refused where it names no port or another protocol', () => {
    for (const addr of ['manager.example', 'ftp://manager.example:1', 'http://manager.example:1/path']) {
      expect(() => read({ manager: { addr } })).toThrow(/manager\.addr: expected host:port/);
    }
  });
});

async function untilSchedulers({ status }: { status: () => Promise<{ schedulers: readonly unknown[] }> }) {
  for (;;) {
    const { schedulers } = await status();
    if (schedulers.length > 0) return schedulers;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

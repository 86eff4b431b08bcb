import { Code, ConnectError } from '@connectrpc/connect';
import type { ServiceImpl } from '@connectrpc/connect';
import { describe, expect, it } from '@jest/globals';
import { common, dfdaemon, swarm } from '@d7y/api';
import { create } from '@bufbuild/protobuf';
import { startGrpcServer } from './_grpc.ts';
import { TASK_ID, until } from './_rig.ts';
import { CA_PEM, CERT_PEM, KEY_PEM } from './_tls.ts';
import { toBackendConnectError, backendErrorOf } from './backend-error.ts';
import { createParentClientPool } from './parent-client.ts';

const signal = new AbortController().signal;
const start = (implementation: Partial<ServiceImpl<typeof dfdaemon.DfdaemonUpload>>) =>
  startGrpcServer((router) => {
    router.service(dfdaemon.DfdaemonUpload, implementation);
  });
const createPool = () => createParentClientPool({ hostId: 'me', version: '1' });
const announcement = (number: number) => ({
  ...{ number, offset: BigInt(number) * 100n, length: 100n, ip: '10.0.0.2', tcpPort: 4005 },
});
const sync = (interested: number[]) => ({ taskId: TASK_ID, hostId: 'me', interested });

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

describe('createParentClientPool', () => {
  it('gives the announcements of pieces that were asked for, each once', async () => {
    const seen: dfdaemon.SyncPiecesRequest[] = [];
    await using server = await start({
      async *syncPieces(request) {
        seen.push(request);
        for (const number of [2, 7, 2, 0]) yield announcement(number);
      },
    });
    await using pool = createPool();
    const parent = pool.at({ ip: '127.0.0.1', port: server.port });
    expect(await collect(parent.syncPieces(sync([0, 1, 2]), { signal }))).toEqual([
      { number: 2, offset: 200, length: 100, ip: '10.0.0.2', tcpPort: 4005, keepsAlive: false, takesTurns: false },
      { number: 0, offset: 0, length: 100, ip: '10.0.0.2', tcpPort: 4005, keepsAlive: false, takesTurns: false },
    ]);
    expect(seen[0]).toMatchObject({ hostId: 'me', taskId: TASK_ID, interestedPieceNumbers: [0, 1, 2] });
    expect(parent.address).toBe(`127.0.0.1:${server.port}`);
  });

  it('says of daemons of ours that their connections can be used again, and asks them once', async () => {
    let asked = 0;
    await using server = await startGrpcServer((router) => {
      router.service(dfdaemon.DfdaemonUpload, {
        async *syncPieces() {
          yield announcement(3);
        },
      });
      router.service(swarm.SwarmService, {
        hello: () => ({ instanceId: `parent ${asked++}`, features: ['piece-keepalive'] }),
      });
    });
    await using pool = createPool();
    const parent = pool.at({ ip: '127.0.0.1', port: server.port });
    for (let time = 0; time < 2; time++) {
      expect(await collect(parent.syncPieces(sync([3]), { signal }))).toMatchObject([{ number: 3, keepsAlive: true }]);
    }
    expect(asked).toBe(1);
  });

  it('names pieces without waiting for a daemon that does not say what it can', async () => {
    const never = Promise.withResolvers<never>();
    await using server = await startGrpcServer((router) => {
      router.service(dfdaemon.DfdaemonUpload, {
        async *syncPieces() {
          yield announcement(3);
        },
      });
      router.service(swarm.SwarmService, { hello: () => never.promise });
    });
    await using pool = createPool();
    const parent = pool.at({ ip: '127.0.0.1', port: server.port });
    expect(await collect(parent.syncPieces(sync([3]), { signal }))).toMatchObject([{ number: 3, keepsAlive: false }]);
    never.reject(new Error('over'));
  });

  it.each([
    ['an address that is none', { ip: 'peer.example' }, 'INVALID_ANNOUNCEMENT'],
    ['a port that is none', { tcpPort: 70_000 }, 'INVALID_ANNOUNCEMENT'],
    ['an offset that is none', { offset: 2n ** 63n }, 'INVALID_ANNOUNCEMENT'],
  ])('refuses %s', async (_what, wrong, code) => {
    await using server = await start({
      async *syncPieces() {
        yield { ...announcement(0), ...wrong };
      },
    });
    await using pool = createPool();
    const pieces = pool.at({ ip: '127.0.0.1', port: server.port }).syncPieces(sync([0]), { signal });
    await expect(collect(pieces)).rejects.toMatchObject({ code, parentAddress: `127.0.0.1:${server.port}` });
    await until(() => server.openStreams === 0);
  });

  it('weakness 21: names no port of a parent that has none for pieces, so that nobody tries another one', async () => {
    await using server = await start({
      async *syncPieces() {
        const { tcpPort: _, ...rest } = announcement(0);
        yield rest;
      },
    });
    await using pool = createPool();
    const pieces = pool.at({ ip: '127.0.0.1', port: server.port }).syncPieces(sync([0]), { signal });
    await expect(collect(pieces)).rejects.toMatchObject({ code: 'PARENT_WITHOUT_PIECE_PORT' });
  });

  it('throws when the parent does not have the task, or breaks off', async () => {
    await using server = await start({
      async *syncPieces({ taskId }) {
        if (taskId !== TASK_ID) throw new ConnectError('no such task', Code.Internal);
        yield announcement(0);
        await new Promise(() => undefined);
      },
    });
    await using pool = createPool();
    const parent = pool.at({ ip: '127.0.0.1', port: server.port });
    const unknown = parent.syncPieces({ ...sync([0]), taskId: 'x' }, { signal });
    await expect(collect(unknown)).rejects.toMatchObject({
      ...{ code: 'RPC_FAILED', reason: 'no such task', isAnswer: true },
    });
    const cut = parent.syncPieces(sync([0, 1]), { signal })[Symbol.asyncIterator]();
    await cut.next();
    server.dropConnections();
    await expect(cut.next()).rejects.toMatchObject({ code: 'RPC_FAILED', method: 'SyncPieces', retryable: true });
  });

  it('gives up on a parent that takes the call and does not answer it, but waits for the next piece of one that does', async () => {
    await using server = await start({
      async *syncPieces({ interestedPieceNumbers: [first = 0] }, context) {
        if (first > 0) yield announcement(first);
        await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      },
    });
    await using pool = createParentClientPool({ hostId: 'me', version: '1', syncHeaderTimeoutMs: 200 });
    const parent = pool.at({ ip: '127.0.0.1', port: server.port });
    await expect(collect(parent.syncPieces(sync([0]), { signal }))).rejects.toMatchObject({
      code: 'PARENT_SILENT',
      parentAddress: `127.0.0.1:${server.port}`,
    });
    await until(() => server.openStreams === 0);
    const pieces = parent.syncPieces(sync([1, 2]), { signal })[Symbol.asyncIterator]();
    await pieces.next();
    const waited = new Promise((resolve) => setTimeout(resolve, 300, 'still waiting'));
    const next = pieces.next();
    expect(await Promise.race([next, waited])).toBe('still waiting');
    server.dropConnections();
    await expect(next).rejects.toMatchObject({ code: 'RPC_FAILED' });
  });

  it('cancels a stream whose reader leaves, or whose signal is aborted', async () => {
    await using server = await start({
      async *syncHost(_request, context) {
        yield { network: { txBandwidth: 8n } };
        await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      },
    });
    await using pool = createPool();
    const parent = pool.at({ ip: '127.0.0.1', port: server.port });
    for await (const host of parent.syncHost({ hostId: 'me', peerId: 'p' }, { signal })) {
      expect(host.network?.txBandwidth).toBe(8n);
      break;
    }
    await until(() => server.openStreams === 0);
    const controller = new AbortController();
    const hosts = parent.syncHost({ hostId: 'me', peerId: 'p' }, { signal: controller.signal })[Symbol.asyncIterator]();
    await hosts.next();
    controller.abort(new Error('no longer used'));
    await expect(hosts.next()).rejects.toThrow('no longer used');
    await until(() => server.openStreams === 0);
  });

  it('follows a download, and tells what the origin of a daemon said', async () => {
    await using server = await start({
      async *downloadTask({ download }, context) {
        yield {
          taskId: TASK_ID,
          response: {
            case: 'downloadTaskStartedResponse',
            value: create(dfdaemon.DownloadTaskStartedResponseSchema, { contentLength: 5n }),
          },
        };
        if (download?.url === 'https://gone.example/') {
          throw toBackendConnectError(context, { message: 'not found', headers: { 'x-a': 'b' }, status: 404 });
        }
      },
    });
    await using pool = createPool();
    const parent = pool.at({ ip: '127.0.0.1', port: server.port });
    const download = (url: string) => parent.downloadTask(create(common.DownloadSchema, { url }), { signal });
    expect(await collect(download('https://a.example/'))).toMatchObject([
      { taskId: TASK_ID, response: { value: { contentLength: 5n } } },
    ]);
    const error: unknown = await collect(download('https://gone.example/')).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'RPC_FAILED', status: Code.Internal, reason: 'not found' });
    expect(backendErrorOf(error)).toEqual({ message: 'not found', headers: { 'x-a': 'b' }, status: 404 });
  });

  it('shares one connection between the callers of an address, and closes it when idle', async () => {
    await using server = await start({
      async *syncPieces() {
        yield announcement(0);
      },
    });
    await using pool = createParentClientPool({ hostId: 'me', version: '1', idleTimeoutMs: 20 });
    const at = () => pool.at({ ip: '127.0.0.1', port: server.port });
    expect(at()).toBe(at());
    await Promise.all([
      collect(at().syncPieces(sync([0]), { signal })),
      collect(at().syncPieces(sync([0]), { signal })),
    ]);
    expect(server.connectionCount).toBe(1);
    await until(() => server.openConnections === 0);
    await collect(at().syncPieces(sync([0]), { signal }));
    expect(server.connectionCount).toBe(2);
  });

  it('remembers only so many parents, the latest ones', () => {
    const pool = createParentClientPool({ hostId: 'me', version: '1', maxParents: 2 });
    const [a, b] = [pool.at({ ip: '10.0.0.1', port: 1 }), pool.at({ ip: '10.0.0.2', port: 1 })];
    expect(pool.at({ ip: '10.0.0.1', port: 1 })).toBe(a);
    pool.at({ ip: '10.0.0.3', port: 1 });
    expect(pool.at({ ip: '10.0.0.1', port: 1 })).toBe(a);
    expect(pool.at({ ip: '10.0.0.2', port: 1 })).not.toBe(b);
  });

  it('gives up on an address that does not take connections', async () => {
    await using pool = createParentClientPool({ hostId: 'me', version: '1', connectTimeoutMs: 30 });
    // A documentation address (RFC 5737): either no route, which fails at once, or no answer.
    const parent = pool.at({ ip: '192.0.2.1', port: 4000 });
    await expect(collect(parent.syncPieces(sync([0]), { signal }))).rejects.toMatchObject({ code: 'RPC_FAILED' });
    expect(await parent.checkHealth({ signal })).toBe(false);
  });
});

describe('over TLS', () => {
  const startSecure = (pieceTlsPort?: number) =>
    startGrpcServer(
      (router) => {
        router.service(dfdaemon.DfdaemonUpload, {
          async *syncPieces() {
            yield announcement(3);
          },
        });
        if (pieceTlsPort !== undefined)
          router.service(swarm.SwarmService, { hello: () => ({ instanceId: 'parent', pieceTlsPort }) });
      },
      { tls: { cert: CERT_PEM, key: KEY_PEM } },
    );
  const tls = { ca: CA_PEM, servername: 'scheduler.example' };
  const piecesOf = async (port: number): Promise<unknown[]> => {
    await using pool = createParentClientPool({ hostId: 'me', version: '1', tls });
    return await collect(pool.at({ ip: '127.0.0.1', port }).syncPieces(sync([3]), { signal }));
  };

  it('pieces are fetched from the port that the parent names for TLS, whatever it announces besides', async () => {
    await using server = await startSecure(4007);
    expect(await piecesOf(server.port)).toMatchObject([{ number: 3, tcpPort: 4007 }]);
  });

  it('there is no piece of a parent that serves them without TLS', async () => {
    await using plain = await startSecure(0);
    await expect(piecesOf(plain.port)).rejects.toMatchObject({ code: 'PARENT_WITHOUT_PIECE_PORT' });
    await using stock = await startSecure();
    await expect(piecesOf(stock.port)).rejects.toMatchObject({ code: 'PARENT_WITHOUT_PIECE_PORT' });
  });
});

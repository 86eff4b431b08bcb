import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { Code, ConnectError } from '@connectrpc/connect';
import type { ConnectRouter, HandlerContext } from '@connectrpc/connect';
import { dfdaemon, scheduler } from '@d7y/api';
import { grpcFrame, memoryLogger, rawCall, rawSession } from './_servers.ts';
import { listen } from './listen.ts';

const ANNOUNCE = '/scheduler.v2.Scheduler/AnnouncePeer';
const SYNC = '/dfdaemon.v2.DfdaemonUpload/SyncPieces';
const stack: AsyncDisposable[] = [];
afterEach(async () => {
  for (const resource of stack.splice(0)) await resource[Symbol.asyncDispose]();
});

async function start(grpc: (router: ConnectRouter) => void) {
  const { logger } = memoryLogger();
  const listener = await listen({ host: '127.0.0.1', port: 0, grpc, longStreams: [SYNC], logger, drainMs: 50 });
  stack.push(listener);
  const { session, ...rest } = await rawSession(listener.address);
  stack.push({ [Symbol.asyncDispose]: async () => rest[Symbol.dispose]() });
  return session;
}

describe('a bidirectional call whose handler returns before the client has ended its request', () => {
  it('gets its trailers and then a reset with NO_ERROR, so that the client stops waiting', async () => {
    const session = await start((router) =>
      router.rpc(scheduler.Scheduler.method.announcePeer, async function* (requests) {
        for await (const _ of requests) {
          yield {};
          return;
        }
      }),
    );
    const { stream, trailers, closed } = rawCall(session, ANNOUNCE);
    stream.write(grpcFrame(scheduler.AnnouncePeerRequestSchema, { hostId: 'h' }));
    expect(await trailers).toMatchObject({ 'grpc-status': '0' });
    expect(await closed).toBe(0); // never, without the reset: our side of the stream is still open
  });

  it('is told the status of a failure the same way', async () => {
    const session = await start((router) =>
      router.rpc(scheduler.Scheduler.method.announcePeer, async function* () {
        yield {};
        throw new ConnectError('host unknown', Code.NotFound);
      }),
    );
    const { stream, trailers, closed } = rawCall(session, ANNOUNCE);
    stream.write(grpcFrame(scheduler.AnnouncePeerRequestSchema, { hostId: 'h' }));
    expect(await trailers).toMatchObject({ 'grpc-status': '5', 'grpc-message': 'host%20unknown' });
    expect(await closed).toBe(0);
  });

  it('also when it fails before its first message', async () => {
    const session = await start((router) =>
      router.rpc(scheduler.Scheduler.method.announcePeer, () => {
        throw new ConnectError('not now', Code.Unavailable);
      }),
    );
    const { headers, trailers, closed } = rawCall(session, ANNOUNCE);
    await headers;
    expect(await trailers).toMatchObject({ 'grpc-status': '14' });
    expect(await closed).toBe(0);
  });
});

describe('a long stream', () => {
  const silentUntilReleased = () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { promise: context, resolve: entered } = Promise.withResolvers<HandlerContext>();
    const routes = (router: ConnectRouter) =>
      router.rpc(dfdaemon.DfdaemonUpload.method.syncPieces, async function* (_request, handlerContext) {
        handlerContext.responseHeader.set('late', 'x');
        entered(handlerContext);
        await released;
        yield { number: 7 };
      });
    return { routes, release, context };
  };

  it('has its headers before the handler says anything, and its messages and trailers after', async () => {
    const { routes, release } = silentUntilReleased();
    const session = await start(routes);
    const { stream, headers, trailers, closed } = rawCall(session, SYNC);
    const data = once(stream, 'data');
    stream.end(grpcFrame(dfdaemon.SyncPiecesRequestSchema, { hostId: 'h', taskId: 't', interestedPieceNumbers: [7] }));
    expect(await headers).toMatchObject({ ':status': 200, 'content-type': 'application/grpc' });
    release();
    expect((await data)[0]).toEqual(grpcFrame(dfdaemon.SyncPiecesResponseSchema, { number: 7 }));
    expect(await trailers).toMatchObject({ 'grpc-status': '0' });
    expect(await closed).toBe(0);
  });

  it('outlives the grpc-timeout that stock clients mean for its headers only', async () => {
    const { routes, release, context } = silentUntilReleased();
    const session = await start(routes);
    const { stream, trailers } = rawCall(session, SYNC, { 'grpc-timeout': '1m' });
    stream.end(grpcFrame(dfdaemon.SyncPiecesRequestSchema, { hostId: 'h' }));
    const { signal, timeoutMs } = await context;
    expect(timeoutMs()).toBeUndefined();
    await new Promise((resolve) => setTimeout(resolve, 20)); // twenty times that timeout
    expect(signal.aborted).toBe(false);
    release();
    expect(await trailers).toMatchObject({ 'grpc-status': '0' });
  });

  it('still hears when its client leaves', async () => {
    const { routes, context } = silentUntilReleased();
    const session = await start(routes);
    const { stream } = rawCall(session, SYNC);
    stream.end(grpcFrame(dfdaemon.SyncPiecesRequestSchema, { hostId: 'h' }));
    const { signal } = await context;
    stream.close(8);
    if (!signal.aborted) await once(signal, 'abort');
    expect(ConnectError.from(signal.reason).code).toBe(Code.Canceled);
  });

  it('sends the status of an error in its trailers', async () => {
    const session = await start((router) =>
      router.rpc(dfdaemon.DfdaemonUpload.method.syncPieces, () => {
        throw new ConnectError('task unknown', Code.Internal);
      }),
    );
    const { stream, headers, trailers } = rawCall(session, SYNC);
    stream.end(grpcFrame(dfdaemon.SyncPiecesRequestSchema, { hostId: 'h' }));
    expect(await headers).toMatchObject({ ':status': 200 });
    expect(await trailers).toMatchObject({ 'grpc-status': '13', 'grpc-message': 'task%20unknown' });
  });
});

describe('any other call', () => {
  it('is still ended by its grpc-timeout', async () => {
    const session = await start((router) =>
      router.rpc(scheduler.Scheduler.method.statTask, async (_request, { signal }) => {
        await once(signal, 'abort');
        throw signal.reason;
      }),
    );
    const { stream, headers } = rawCall(session, '/scheduler.v2.Scheduler/StatTask', { 'grpc-timeout': '5m' });
    stream.end(grpcFrame(scheduler.StatTaskRequestSchema, { hostId: 'h', taskId: 't' }));
    const [trailers] = (await Promise.race([once(stream, 'trailers'), headers.then((all) => [all])])) as [
      Record<string, unknown>,
    ];
    const status =
      trailers['grpc-status'] ?? ((await once(stream, 'trailers')) as [Record<string, unknown>])[0]['grpc-status'];
    expect(status).toBe('4');
  });
});

import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { DurationSchema, TimestampSchema } from '@bufbuild/protobuf/wkt';
import type { ConnectRouter, Transport } from '@connectrpc/connect';
import { Code, ConnectError, createClient, createRouterTransport } from '@connectrpc/connect';
import { connectNodeAdapter, createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { dfdaemon, health, manager, scheduler } from '@d7y/api';
import { createRulesInterceptor } from './interceptor.ts';

type AnnouncePeerInit = MessageInitShape<typeof scheduler.AnnouncePeerRequestSchema>;

const ids = { hostId: 'host', taskId: 'task', peerId: 'peer' };
const started: AnnouncePeerInit = { ...ids, request: { case: 'downloadPeerStartedRequest', value: {} } };

function pieceFinished(digest: string): AnnouncePeerInit {
  const piece = { digest, cost: create(DurationSchema), createdAt: create(TimestampSchema) };
  return { ...ids, request: { case: 'downloadPieceFinishedRequest', value: { piece } } };
}

async function failureOf(outcome: Promise<unknown>): Promise<{ code: Code; rawMessage: string }> {
  const error: unknown = await outcome.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) throw new Error('the call did not fail', { cause: error });
  const { code, rawMessage } = error;
  return { code, rawMessage };
}

/** What handlers saw, and whether they learned that the stream was over. */
const seen: { messages: string[]; ends: string[] } = { messages: [], ends: [] };

function routes(router: ConnectRouter): void {
  router.service(scheduler.Scheduler, {
    statTask({ taskId }) {
      seen.messages.push(taskId);
      return { id: taskId };
    },
    async *announcePeer(requests) {
      try {
        for await (const { request } of requests) {
          seen.messages.push(request.case ?? '');
          yield { response: { case: 'emptyTaskResponse', value: {} } };
        }
        seen.ends.push('end');
      } catch (error) {
        seen.ends.push(ConnectError.from(error).message);
        throw error;
      }
    },
  });
  router.service(dfdaemon.DfdaemonUpload, {
    async *syncPieces({ taskId }) {
      seen.messages.push(taskId);
      yield { number: 0, ip: '192.0.2.1' };
    },
  });
  router.service(manager.Manager, {
    async keepAlive(requests) {
      for await (const { hostname } of requests) seen.messages.push(hostname);
      return {};
    },
  });
  router.service(health.Health, { check: () => ({ status: health.HealthCheckResponse_ServingStatus.SERVING }) });
}

const interceptors = [createRulesInterceptor()];
const server = createServer(connectNodeAdapter({ routes, interceptors }));
let overHttp2: Transport;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  overHttp2 = createGrpcTransport({
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    idleConnectionTimeoutMs: 1,
  });
});
afterAll(() => new Promise((resolve) => server.close(resolve)));
beforeEach(() => {
  seen.messages = [];
  seen.ends = [];
});

describe.each([
  ['in process', () => createRouterTransport(routes, { router: { interceptors } })],
  ['over HTTP/2', () => overHttp2],
])('createRulesInterceptor, %s,', (_, transport) => {
  it('lets a valid unary request through', async () => {
    const { id } = await createClient(scheduler.Scheduler, transport()).statTask({ hostId: 'host', taskId: 'task' });
    expect(id).toBe('task');
  });

  it('answers a broken unary request with the field and its rule', async () => {
    const broken = createClient(scheduler.Scheduler, transport()).statTask({ hostId: 'host' });
    expect(await failureOf(broken)).toEqual({
      code: Code.InvalidArgument,
      rawMessage: 'scheduler.v2.StatTaskRequest: task_id must have at least 1 character',
    });
    expect(seen.messages).toEqual([]);
  });

  it('hands a stream on up to the message that breaks a rule', async () => {
    const client = createClient(scheduler.Scheduler, transport());
    let answers = 0;
    const answered = Promise.withResolvers<undefined>();
    async function* requests() {
      yield started;
      yield pieceFinished('crc32:1');
      await answered.promise; // so that the refusal cannot overtake the answers
      yield pieceFinished('a-secret');
      yield started;
    }
    const conversation = (async () => {
      for await (const _response of client.announcePeer(requests())) if (++answers === 2) answered.resolve(undefined);
    })();
    const { code, rawMessage } = await failureOf(conversation);
    expect(code).toBe(Code.InvalidArgument);
    expect(rawMessage).toMatch(
      /^scheduler\.v2\.AnnouncePeerRequest: download_piece_finished_request\.piece\.digest must match /,
    );
    expect(rawMessage).not.toContain('a-secret');
    expect(answers).toBe(2);
    expect(seen.messages).toEqual(['downloadPeerStartedRequest', 'downloadPieceFinishedRequest']);
    expect(seen.ends).toEqual([`[invalid_argument] ${rawMessage}`]);
  });

  it('refuses a broken message while the client keeps its stream open', async () => {
    const done = Promise.withResolvers<undefined>();
    async function* requests(): AsyncGenerator<AnnouncePeerInit> {
      yield { ...started, peerId: '' };
      await done.promise;
    }
    const answers = createClient(scheduler.Scheduler, transport()).announcePeer(requests());
    const failure = await failureOf(answers[Symbol.asyncIterator]().next());
    done.resolve(undefined);
    expect(failure.rawMessage).toBe('scheduler.v2.AnnouncePeerRequest: peer_id must have at least 1 character');
  });

  it('refuses a stream message whose oneof is empty', async () => {
    async function* requests() {
      yield ids;
    }
    const answers = createClient(scheduler.Scheduler, transport()).announcePeer(requests());
    expect((await failureOf(answers[Symbol.asyncIterator]().next())).rawMessage).toBe(
      'scheduler.v2.AnnouncePeerRequest: request must have one member set',
    );
  });

  it('ends a valid stream where its sender ends it', async () => {
    async function* requests() {
      yield started;
    }
    const cases = [];
    for await (const { response } of createClient(scheduler.Scheduler, transport()).announcePeer(requests())) {
      cases.push(response.case);
    }
    expect(cases).toEqual(['emptyTaskResponse']);
    expect(seen.ends).toEqual(['end']);
  });

  it('checks the one request of a server stream', async () => {
    const client = createClient(dfdaemon.DfdaemonUpload, transport());
    const valid = { hostId: 'host', taskId: 'task', interestedPieceNumbers: [0] };
    for await (const { number } of client.syncPieces(valid)) expect(number).toBe(0);
    const broken = client.syncPieces({ ...valid, interestedPieceNumbers: [] });
    expect(await failureOf(broken[Symbol.asyncIterator]().next())).toEqual({
      code: Code.InvalidArgument,
      rawMessage: 'dfdaemon.v2.SyncPiecesRequest: interested_piece_numbers must have at least 1 item',
    });
    expect(seen.messages).toEqual(['task']);
  });

  it('checks every message of a client stream', async () => {
    async function* requests() {
      yield { hostname: 'node-1', clusterId: 1n };
      yield { hostname: 'node_1', clusterId: 1n };
    }
    const broken = createClient(manager.Manager, transport()).keepAlive(requests());
    expect((await failureOf(broken)).rawMessage).toBe('manager.v2.KeepAliveRequest: hostname must be a host name');
    expect(seen.messages).toEqual(['node-1']);
  });

  it('does not touch services without rules', async () => {
    const { status } = await createClient(health.Health, transport()).check({});
    expect(status).toBe(health.HealthCheckResponse_ServingStatus.SERVING);
  });
});

describe('the checked stream', () => {
  /** The iterator that a handler gets for a stream of invalid AnnouncePeer requests. */
  async function handlerView(messages: AsyncIterable<scheduler.AnnouncePeerRequest>) {
    let view: AsyncIterable<unknown> | undefined;
    const method = scheduler.Scheduler.method.announcePeer;
    const next = createRulesInterceptor()((request) => {
      view = request.message as AsyncIterable<unknown>;
      return Promise.reject(new Error('only the request matters here'));
    });
    await expect(next({ stream: true, method, message: messages } as never)).rejects.toThrow('only the request');
    if (view === undefined) throw new Error('the request was not passed on');
    return view[Symbol.asyncIterator]();
  }

  it('gives its source up at a broken rule, and nothing more after it', async () => {
    let isClosed = false;
    async function* source() {
      try {
        yield create(scheduler.AnnouncePeerRequestSchema, started);
        yield create(scheduler.AnnouncePeerRequestSchema);
        yield create(scheduler.AnnouncePeerRequestSchema, started);
      } finally {
        isClosed = true;
      }
    }
    const view = await handlerView(source());
    expect(await view.next()).toMatchObject({ done: false });
    await expect(view.next()).rejects.toThrow('host_id must have at least 1 character');
    expect(isClosed).toBe(true);
    expect(await view.next()).toEqual({ done: true, value: undefined });
  });

  it('passes a return on at once, even while it waits for a message', async () => {
    let returned = 0;
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<IteratorResult<scheduler.AnnouncePeerRequest>>(() => undefined),
        return: async () => {
          returned++;
          return { done: true as const, value: undefined };
        },
      }),
    };
    const view = await handlerView(source);
    void view.next();
    await view.return?.();
    expect(returned).toBe(1);
  });

  it('hands on what the source throws', async () => {
    const source = {
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('lost')) }),
    };
    const view = await handlerView(source);
    await expect(view.next()).rejects.toThrow('lost');
    expect(await view.return?.('bye')).toEqual({ done: true, value: 'bye' });
  });
});

import { describe, expect, it } from '@jest/globals';
import { create, toBinary } from '@bufbuild/protobuf';
import type { Transport } from '@connectrpc/connect';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import type { ConnectRouter } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { common, scheduler } from '@d7y/api';
import { DigestFormatError } from '@d7y/piece';
import { AsyncQueue } from '../async/async-queue.ts';
import { memoryLogger } from '../listener/_servers.ts';
import { listen } from '../listener/listen.ts';
import { createMetrics } from '../observe/metrics.ts';
import type { OpenMessageStream } from './message-stream.ts';
import { encodedAnswer, grpcFrame, messageStream } from './message-stream.ts';

const { Scheduler } = scheduler;
type Open = OpenMessageStream<scheduler.AnnouncePeerRequest>;

const answer = (description: string) =>
  toBinary(
    scheduler.AnnouncePeerResponseSchema,
    create(scheduler.AnnouncePeerResponseSchema, {
      response: { case: 'needBackToSourceResponse', value: { description } },
    }),
  );

const overGrpc = (baseUrl: string): Transport => createGrpcTransport({ baseUrl });
/** Not plain gRPC: this is left to Connect. */
const overConnect = (baseUrl: string): Transport => createConnectTransport({ baseUrl, httpVersion: '2' });

async function startWith(
  routes: (router: ConnectRouter) => void,
  transportTo: (baseUrl: string) => Transport,
  metrics = createMetrics({ processMetrics: false }),
) {
  const listener = await listen({
    ...{ host: '127.0.0.1', port: 0, logger: memoryLogger().logger, metrics, drainMs: 50, grpc: routes },
    guardOf: () => (message) => {
      if ((message as scheduler.AnnouncePeerRequest).hostId === 'bad')
        throw new ConnectError('host_id: bad', Code.InvalidArgument);
    },
  });
  const transport = transportTo(`http://${listener.address}`);
  return { transport, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() };
}

const route = (open: Open) => (router: ConnectRouter) =>
  void router.rpc(Scheduler.method.announcePeer, messageStream(Scheduler.method.announcePeer, open));

describe.each([
  ['in plain gRPC', overGrpc],
  ['through Connect', overConnect],
])('messageStream, %s', (_name, transportTo) => {
  async function talk(open: Open, said: AsyncIterable<{ hostId: string }>): Promise<string[]> {
    await using rig = await startWith(route(open), transportTo);
    const heard: string[] = [];
    for await (const { response } of createClient(Scheduler, rig.transport).announcePeer(said))
      heard.push(response.case === 'needBackToSourceResponse' ? (response.value.description ?? '') : '');
    return heard;
  }

  it('hands messages over one at a time, in order, and the end after the last', async () => {
    const seen: string[] = [];
    let isBusy = false;
    let closedWith: unknown = 'nothing';
    const heard = await talk(
      (call) => ({
        message({ hostId }) {
          expect(isBusy).toBe(false);
          seen.push(hostId);
          call.send(answer(hostId));
          if (Number(hostId) % 3 !== 0) return undefined;
          isBusy = true;
          return new Promise((resolve) =>
            setImmediate(() => {
              isBusy = false;
              resolve();
            }),
          );
        },
        ended() {
          seen.push('end');
          call.end();
        },
        closed: (error) => (closedWith = error),
      }),
      (async function* () {
        for (let number = 0; number < 200; number++) yield { hostId: String(number) };
      })(),
    );
    const all = Array.from({ length: 200 }, (_, number) => String(number));
    expect(heard).toEqual(all);
    expect(seen).toEqual([...all, 'end']);
    expect(closedWith).toBeUndefined();
  });

  it('ends the call with what a handler throws, and tells the handler', async () => {
    const closed = Promise.withResolvers<unknown>();
    const failing = talk(
      () => ({
        message: () => Promise.reject(new DigestFormatError('x')),
        ended: () => undefined,
        closed: closed.resolve,
      }),
      (async function* () {
        yield { hostId: 'a' };
      })(),
    );
    await expect(failing).rejects.toBeInstanceOf(ConnectError);
    expect(await closed.promise).toBeInstanceOf(DigestFormatError);
  });

  it('tells the handler that the caller has gone', async () => {
    const closed = Promise.withResolvers<unknown>();
    await using rig = await startWith(
      route((call) => ({
        message() {
          call.send(answer('first'));
          return undefined;
        },
        ended: () => undefined,
        closed: closed.resolve,
      })),
      transportTo,
    );
    const said = new AsyncQueue<{ hostId: string }>(1);
    said.push({ hostId: 'a' });
    const leaving = new AbortController();
    const reading = (async () => {
      for await (const _ of createClient(Scheduler, rig.transport).announcePeer(said, { signal: leaving.signal }))
        leaving.abort();
    })();
    await expect(reading).rejects.toMatchObject({ code: Code.Canceled });
    expect(await closed.promise).toBeDefined();
  });
});

describe('messageStream in plain gRPC', () => {
  it('checks and counts what comes and goes', async () => {
    const metrics = createMetrics({ processMetrics: false });
    await using rig = await startWith(
      route((call) => ({
        message({ hostId }) {
          call.send(answer(hostId));
          return undefined;
        },
        ended: () => call.end(),
        closed: () => undefined,
      })),
      overGrpc,
      metrics,
    );
    const read = async () => {
      const said = (async function* () {
        yield { hostId: 'good' };
        yield { hostId: 'bad' };
      })();
      for await (const _ of createClient(Scheduler, rig.transport).announcePeer(said)) void _;
    };
    await expect(read()).rejects.toMatchObject({ code: Code.InvalidArgument, rawMessage: 'host_id: bad' });
    const text = await metrics.registry.metrics();
    const labels = 'grpc_type="bidi_stream",grpc_service="scheduler.v2.Scheduler",grpc_method="AnnouncePeer"';
    expect(text).toContain(`grpc_server_msg_received_total{${labels}} 2`);
    expect(text).toContain(`grpc_server_msg_sent_total{${labels}} 1`);
    expect(text).toContain(`grpc_server_handled_total{${labels},grpc_code="InvalidArgument"} 1`);
  });
});

describe.each([
  ['in plain gRPC', overGrpc],
  ['through Connect', overConnect],
])('encodedAnswer, %s', (_name, transportTo) => {
  const long = 'x'.repeat(300_000);
  const frame = grpcFrame(toBinary(common.TaskSchema, create(common.TaskSchema, { id: long })));
  const routes = (router: ConnectRouter) =>
    void router.service(Scheduler, {
      statTask: encodedAnswer(Scheduler.method.statTask, ({ taskId }) => {
        if (taskId === 'wrong') throw new DigestFormatError('wrong');
        return frame;
      }),
    });

  it('sends the same bytes to everybody', async () => {
    const metrics = createMetrics({ processMetrics: false });
    await using rig = await startWith(routes, transportTo, metrics);
    const client = createClient(Scheduler, rig.transport);
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.statTask({ taskId: 'a' })));
    expect(answers.every(({ id }) => id === long)).toBe(true);
    const text = await metrics.registry.metrics();
    expect(text).toMatch(/grpc_server_handled_total\{[^}]*StatTask[^}]*OK[^}]*\} 20/);
    expect(text).toMatch(/grpc_server_msg_sent_total\{[^}]*StatTask[^}]*\} 20/);
  });

  it('tells the caller what is wrong, and lives on', async () => {
    await using rig = await startWith(routes, transportTo);
    const client = createClient(Scheduler, rig.transport);
    await expect(client.statTask({ taskId: 'wrong' })).rejects.toMatchObject({ code: Code.InvalidArgument });
    expect((await client.statTask({ taskId: 'a' })).id).toBe(long);
  });
});

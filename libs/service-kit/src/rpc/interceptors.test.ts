import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Code, ConnectError, createClient, createRouterTransport } from '@connectrpc/connect';
import type { ConnectRouter } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { scheduler } from '@d7y/api';
import { DfError, DigestFormatError } from '@d7y/piece';
import { AsyncQueue } from '../async/async-queue.ts';
import { untilAborted } from '../async/until-aborted.ts';
import { memoryLogger } from '../listener/_servers.ts';
import { listen } from '../listener/listen.ts';
import { createMetrics } from '../observe/metrics.ts';
import { contextFromTraceparent, currentTraceparent, withSpan } from '../observe/span.ts';
import { createTelemetry, noTelemetry } from '../observe/telemetry.ts';
import type { Telemetry } from '../observe/telemetry.ts';
import { dfCodeOf, toConnectError } from './error-codes.ts';
import { createClientInterceptors, createServerInterceptors } from './interceptors.ts';

const { Scheduler } = scheduler;

class OddError extends DfError {
  override readonly name = 'OddError';
  readonly code = 'ODD';
  readonly retryable = true;
}

function setUp(
  routes: (router: ConnectRouter) => void,
  {
    telemetry = noTelemetry(),
    clientTelemetry = telemetry,
  }: { telemetry?: Telemetry; clientTelemetry?: Telemetry } = {},
) {
  const { logger, lines } = memoryLogger();
  const metrics = createMetrics({ processMetrics: false });
  const transport = createRouterTransport(routes, {
    transport: { interceptors: createClientInterceptors({ telemetry: clientTelemetry, metrics }) },
    router: { interceptors: createServerInterceptors({ logger, telemetry, metrics, codes: { ODD: Code.Aborted } }) },
  });
  return { client: createClient(Scheduler, transport), lines, metrics };
}

const failing = (error: unknown) =>
  setUp((router) => {
    router.rpc(Scheduler.method.statTask, () => {
      throw error;
    });
    // Streams fail in their own way: after a message.
    router.rpc(Scheduler.method.announcePeer, async function* () {
      yield {};
      throw error;
    });
  });

async function* requests() {
  yield { hostId: 'h' };
}

async function failureOf(run: () => Promise<unknown>): Promise<ConnectError> {
  try {
    await run();
  } catch (error) {
    return error as ConnectError;
  }
  throw new Error('did not fail');
}

const kinds = [
  ['a single call', (client: ReturnType<typeof setUp>['client']) => client.statTask({ taskId: 't' })],
  [
    'a stream',
    async (client: ReturnType<typeof setUp>['client']) => {
      for await (const _ of client.announcePeer(requests())) void _;
    },
  ],
] as const;

describe.each(kinds)('the server interceptor, on %s', (_name, call) => {
  it('gives a DfError its code, and sends its own beside it', async () => {
    const { client, lines } = failing(new DigestFormatError('sha256:zz'));
    const error = await failureOf(() => call(client));
    expect([error.code, dfCodeOf(error), error.rawMessage]).toEqual([
      Code.InvalidArgument,
      'DIGEST_FORMAT',
      '"sha256:zz" is not a digest such as sha256:<64 hex characters>',
    ]);
    expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('takes codes of a service beside the common ones', async () => {
    const error = await failureOf(() => call(failing(new OddError('odd')).client));
    expect([error.code, dfCodeOf(error)]).toEqual([Code.Aborted, 'ODD']);
  });

  it('lets a ConnectError pass', async () => {
    const error = await failureOf(() => call(failing(new ConnectError('gone', Code.NotFound)).client));
    expect([error.code, error.rawMessage]).toEqual([Code.NotFound, 'gone']);
  });

  it('makes anything else an internal error that tells the caller nothing and the log all', async () => {
    const { client, lines } = failing(new TypeError('x is not a function'));
    const error = await failureOf(() => call(client));
    expect([error.code, error.rawMessage]).toEqual([Code.Internal, 'internal error']);
    expect(lines.filter(({ level }) => level === 'error')).toMatchObject([{ err: { message: 'x is not a function' } }]);
  });

  it('counts what began, ended and was said', async () => {
    const { client, metrics } = failing(new OddError('odd'));
    await failureOf(() => call(client));
    const text = await metrics.registry.metrics();
    const method = _name === 'a stream' ? 'AnnouncePeer' : 'StatTask';
    const type = _name === 'a stream' ? 'bidi_stream' : 'unary';
    const labels = `grpc_type="${type}",grpc_service="scheduler.v2.Scheduler",grpc_method="${method}"`;
    expect(text).toContain(`grpc_server_started_total{${labels}} 1`);
    expect(text).toContain(`grpc_server_handled_total{${labels},grpc_code="Aborted"} 1`);
    expect(text.includes(`grpc_server_msg_sent_total{${labels}} 1`)).toBe(_name === 'a stream');
    expect(text).toContain(`grpc_client_handled_total{${labels},grpc_code="Aborted"} 1`);
  });
});

describe('the server interceptor', () => {
  it('writes one line a call at debug', async () => {
    const { client, lines } = setUp((router) => router.rpc(Scheduler.method.statTask, () => ({ id: 'a' })));
    await client.statTask({});
    expect(lines).toMatchObject([{ level: 'debug', rpc: 'scheduler.v2.Scheduler/StatTask', code: 'OK' }]);
  });

  it('ends a stream whose reader leaves, once, as cancelled', async () => {
    const { logger } = memoryLogger();
    const listening = createMetrics({ processMetrics: false });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    await using listener = await listen({
      host: '127.0.0.1',
      port: 0,
      logger,
      metrics: listening,
      drainMs: 50,
      grpc: (router) =>
        void router.rpc(Scheduler.method.announcePeer, async function* (messages, { signal }) {
          try {
            for await (const _ of untilAborted(messages, signal)) yield {};
            if (!signal.aborted) await once(signal, 'abort');
            throw signal.reason;
          } finally {
            release();
          }
        }),
    });
    const client = createClient(Scheduler, createGrpcTransport({ baseUrl: `http://${listener.address}` }));
    const requests = new AsyncQueue<{ hostId: string }>(1);
    requests.push({ hostId: 'h' });
    const leaving = new AbortController();
    const reading = (async () => {
      for await (const _ of client.announcePeer(requests, { signal: leaving.signal }))
        leaving.abort(new ConnectError('left', Code.Canceled));
    })();
    await expect(reading).rejects.toMatchObject({ code: Code.Canceled });
    await released;
    let text = '';
    const read = async () => (text = await listening.registry.metrics());
    for (let turn = 0; turn < 100 && !(await read()).includes('Canceled'); turn++) await new Promise(setImmediate);
    expect(text).toMatch(/grpc_server_handled_total\{[^}]*grpc_code="Canceled"\} 1/);
    expect(text.match(/grpc_server_handled_total\{/g)).toHaveLength(1);
  });
});

describe('toConnectError', () => {
  it('knows an error by its shape, from a second copy of the package too', () => {
    const foreign = Object.assign(new Error('full'), { code: 'NO_SPACE', retryable: true });
    expect(toConnectError(foreign).code).toBe(Code.ResourceExhausted);
    expect(toConnectError(Object.assign(new Error('x'), { code: 'ECONNREFUSED' })).code).toBe(Code.Internal);
  });

  it('hides credentials that a message carries', () => {
    expect(toConnectError(new OddError('GET http://h/?sig=pl4nt3d')).message).not.toContain('pl4nt3d');
  });

  it('tells a cancelled call from a failed one', () => {
    expect(toConnectError(new DOMException('stop', 'AbortError')).code).toBe(Code.Canceled);
  });
});

describe('tracing of calls', () => {
  const stack: (() => unknown)[] = [];
  afterEach(async () => {
    for (const release of stack.splice(0)) await release();
  });

  async function tracer(serviceName: string) {
    const collector = createServer((request, response) => {
      request.resume();
      request.on('end', () => response.end());
    });
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
    const endpoint = `127.0.0.1:${(collector.address() as AddressInfo).port}`;
    const telemetry = createTelemetry({ serviceName, endpoint, env: {} });
    stack.push(
      () => telemetry.shutdown(),
      () => collector.close(),
      () => collector.closeAllConnections(),
    );
    return telemetry;
  }
  const traceOf = (traceparent: string | undefined) => traceparent?.split('-')[1];

  it('joins client, handler and what the handler calls into one trace, in streams after every await too', async () => {
    const [mine, theirs] = [await tracer('client'), await tracer('server')];
    const seen: (string | undefined)[] = [];
    const { client } = setUp(
      (router) => {
        router.rpc(Scheduler.method.statTask, async () => {
          await new Promise((resolve) => setImmediate(resolve));
          seen.push(currentTraceparent());
          return {};
        });
        router.rpc(Scheduler.method.announcePeer, async function* (messages) {
          for await (const _ of messages) {
            await new Promise((resolve) => setImmediate(resolve));
            seen.push(currentTraceparent());
            yield {};
          }
        });
      },
      { telemetry: theirs, clientTelemetry: mine },
    );
    let outer: string | undefined;
    await withSpan(mine.tracer, 'pull', {}, async () => {
      outer = currentTraceparent();
      await client.statTask({});
      async function* two() {
        yield {};
        yield {};
      }
      for await (const _ of client.announcePeer(two())) void _;
    });
    expect(seen).toHaveLength(3);
    expect(seen.map(traceOf)).toEqual([traceOf(outer), traceOf(outer), traceOf(outer)]);
    expect(seen[1]).toBe(seen[2]); // one span for the whole stream
    expect(new Set([outer, seen[0], seen[1]]).size).toBe(3);
  });

  it('takes up the trace of a caller that is no Connect client, and begins one without', async () => {
    const telemetry = await tracer('server');
    let seen: string | undefined;
    const { client } = setUp(
      (router) =>
        router.rpc(Scheduler.method.statTask, () => {
          seen = currentTraceparent();
          return {};
        }),
      { telemetry, clientTelemetry: noTelemetry() },
    );
    const traceparent = `00-${'e'.repeat(32)}-${'f'.repeat(16)}-01`;
    await client.statTask({}, { headers: { traceparent } });
    expect(traceOf(seen)).toBe('e'.repeat(32));
    await client.statTask({}, { headers: { traceparent: 'nonsense' } });
    expect(contextFromTraceparent(seen)).toBeDefined();
    expect(traceOf(seen)).not.toBe('e'.repeat(32));
  });

  it('adds no client interceptor when there is nothing to do', () => {
    expect(createClientInterceptors({ telemetry: noTelemetry() })).toEqual([]);
  });
});

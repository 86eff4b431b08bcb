import { createContextValues } from '@connectrpc/connect';
import { common, scheduler } from '@d7y/api';
import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createServerCalls } from '../rpc/interceptors.ts';
import { encodedAnswer } from '../rpc/message-stream.ts';
import { grpcFrame, memoryLogger, rawCall, rawSession, until } from './_servers.ts';
import { LeanStreams } from './lean-streams.ts';

const { Scheduler } = scheduler;
const PATH = '/scheduler.v2.Scheduler/StatTask';

describe('LeanStreams', () => {
  const resources = new AsyncDisposableStack();
  afterEach(() => resources.disposeAsync());

  it('lets a stream go that is over, and hears errors of it all the same', async () => {
    const streams = new LeanStreams({
      begin: createServerCalls({ logger: memoryLogger().logger }),
      guardOf: () => undefined,
      shutdown: new AbortController().signal,
      valuesOf: () => createContextValues(),
    });
    const method = Scheduler.method.statTask;
    const answer = grpcFrame(common.TaskSchema, { id: 'a' });
    streams.register(
      PATH,
      method,
      encodedAnswer(method, () => answer),
      undefined,
    );
    const seen: ServerHttp2Stream[] = [];
    const server = createServer().listen(0, '127.0.0.1');
    resources.defer(() => void server.close());
    server.on('stream', (stream, headers) => {
      seen.push(stream);
      expect(streams.accept(stream, headers)).toBe(true);
    });
    await once(server, 'listening');
    const { session } = resources.use(await rawSession(`127.0.0.1:${(server.address() as AddressInfo).port}`));
    const call = rawCall(session, PATH);
    call.stream.end(grpcFrame(scheduler.StatTaskRequestSchema, { taskId: 'a' }));
    expect((await call.trailers)['grpc-status']).toBe('0');

    const [stream] = seen;
    await until(() => streams.size === 0 && stream?.eventNames().length === 1, 'the stream is let go');
    expect(stream?.eventNames()).toEqual(['error']);
    expect(() => stream?.emit('error', new Error('late'))).not.toThrow();
  });
});

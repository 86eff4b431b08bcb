import type * as http2 from 'node:http2';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { describe, expect, it } from '@jest/globals';
import { dfdaemon } from '@d7y/api';
import { startGrpcServer } from './_grpc.ts';
import { backendErrorOf, toBackendConnectError } from './backend-error.ts';
import { createGrpcConnection } from './grpc-connection.ts';

const JSON_DETAILS = '{"message":"unauthorized","header":{"WWW-Authenticate":"Bearer"},"status_code":401}';
const encoded = Buffer.from(JSON_DETAILS).toString('base64').replace(/=+$/, '');
const STATUS = { 'grpc-status': '13', 'grpc-message': 'backend said no', 'grpc-status-details-bin': encoded };

/** Answers as stock daemons do: after messages (status in the trailers), or without any (status in the headers). */
const withTrailers = (stream: http2.ServerHttp2Stream): void => {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(STATUS));
  stream.end();
};
const headersOnly = (stream: http2.ServerHttp2Stream): void => {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...STATUS }, { endStream: true });
};

const caught = async (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => error);

describe('the JSON details of daemons', () => {
  it.each([
    ['in the trailers', withTrailers],
    ['in the headers of an answer without messages', headersOnly],
  ])('survive a call, with code and message, when they come %s', async (_where, onStream) => {
    await using server = await startGrpcServer(() => undefined, { onStream });
    using connection = createGrpcConnection({ host: '127.0.0.1', port: server.port });
    const client = createClient(dfdaemon.DfdaemonUpload, connection.transport);
    const consume = async () => {
      for await (const _ of client.downloadTask({})) continue;
    };
    for (const call of [() => client.statTask({}), consume]) {
      const error = await caught(call());
      expect(error).toMatchObject({ code: Code.Internal, rawMessage: 'backend said no' });
      expect(backendErrorOf(error)).toEqual({
        message: 'unauthorized',
        headers: { 'www-authenticate': 'Bearer' },
        status: 401,
      });
      expect(backendErrorOf(new Error('outer', { cause: error }))).toBeDefined();
    }
  });

  it('would fail the call without the remedy', async () => {
    await using server = await startGrpcServer(() => undefined, { onStream: withTrailers });
    const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${server.port}` });
    const error = await caught(createClient(dfdaemon.DfdaemonUpload, transport).statTask({}));
    expect(error).toMatchObject({ code: Code.DataLoss });
    server.dropConnections();
  });

  it('are sent by our own handlers in the same form', async () => {
    await using server = await startGrpcServer((router) =>
      router.service(dfdaemon.DfdaemonUpload, {
        statTask(_request, context) {
          throw toBackendConnectError(context, { message: 'gone', headers: { a: 'b' }, status: 410 });
        },
        downloadTask: async function* (_request, context) {
          yield* [];
          throw toBackendConnectError(context, { message: 'no answer', headers: {}, status: undefined });
        },
      }),
    );
    using connection = createGrpcConnection({ host: '127.0.0.1', port: server.port });
    const client = createClient(dfdaemon.DfdaemonUpload, connection.transport);
    const unary = await caught(client.statTask({}));
    expect(unary).toMatchObject({ code: Code.Internal, rawMessage: 'gone' });
    expect(backendErrorOf(unary)).toEqual({ message: 'gone', headers: { a: 'b' }, status: 410 });
    const streaming = await caught(
      (async () => {
        for await (const _ of client.downloadTask({})) continue;
      })(),
    );
    expect(backendErrorOf(streaming)).toEqual({ message: 'no answer', headers: {}, status: undefined });
  });

  it('are absent from other errors, whatever those contain', () => {
    expect(backendErrorOf(new Error('x'))).toBeUndefined();
    expect(backendErrorOf(new ConnectError('x', Code.Internal))).toBeUndefined();
    for (const broken of [
      '%%%',
      Buffer.from('{"message":').toString('base64'),
      Buffer.from('[1]').toString('base64'),
    ]) {
      const error = new ConnectError('x', Code.Internal, { 'x-d7y-backend-error': broken });
      expect([undefined, { message: '', headers: {}, status: undefined }]).toContainEqual(backendErrorOf(error));
    }
  });
});

import { once } from 'node:events';
import * as http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { ConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';

/** A gRPC server as Connect makes it, without any of the remedies of our own listener. */
export interface PlainGrpcServer extends AsyncDisposable {
  readonly port: number;
  /** Streams that are open now. */
  readonly openStreams: number;
  readonly openConnections: number;
  /** Connections that were ever made. */
  readonly connectionCount: number;
  /** Cuts all connections. */
  dropConnections(): void;
}

export async function startGrpcServer(
  routes: (router: ConnectRouter) => void,
  {
    port = 0,
    path,
    onStream,
    tls,
  }: {
    port?: number;
    path?: string;
    onStream?: (stream: http2.ServerHttp2Stream) => void;
    tls?: http2.SecureServerOptions;
  } = {},
): Promise<PlainGrpcServer> {
  const sessions = new Set<http2.ServerHttp2Session>();
  const streams = new Set<http2.ServerHttp2Stream>();
  let connectionCount = 0;
  // The two kinds of servers differ only in what they do before the first stream.
  const server =
    tls === undefined ? http2.createServer() : (http2.createSecureServer(tls) as unknown as http2.Http2Server);
  // With a request listener Node sends trailers of its own; who takes the stream does that alone.
  if (onStream === undefined) server.on('request', connectNodeAdapter({ routes }));
  server.on('stream', (stream) => {
    streams.add(stream);
    stream.once('close', () => streams.delete(stream));
    onStream?.(stream);
  });
  server.on('session', (session) => {
    connectionCount += 1;
    sessions.add(session);
    session.on('error', () => undefined);
    session.once('close', () => sessions.delete(session));
  });
  if (path === undefined) server.listen(port, '127.0.0.1');
  else server.listen(path);
  await once(server, 'listening');
  return {
    port: path === undefined ? (server.address() as AddressInfo).port : 0,
    get openStreams() {
      return streams.size;
    },
    get openConnections() {
      return sessions.size;
    },
    get connectionCount() {
      return connectionCount;
    },
    dropConnections() {
      for (const session of sessions) session.destroy();
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const session of sessions) session.destroy();
      await once(server, 'close');
    },
  };
}

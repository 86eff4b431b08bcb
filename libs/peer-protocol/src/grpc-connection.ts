import type { ClientHttp2Session } from 'node:http2';
import * as net from 'node:net';
import type { Duplex } from 'node:stream';
import * as tls from 'node:tls';
import type { Interceptor, Transport } from '@connectrpc/connect';
import type { UniversalClientFn } from '@connectrpc/connect/protocol';
import { createTransport } from '@connectrpc/connect/protocol-grpc';
import { createNodeHttpClient, Http2SessionManager } from '@connectrpc/connect-node';
import { keepJsonDetails } from './backend-error.ts';
import { connectionOptionsOf, type TlsSource } from './tls-options.ts';

/** Where a gRPC server listens: an IP literal or a host name, or a unix socket. */
export type GrpcTarget = { readonly host: string; readonly port: number } | { readonly socketPath: string };

export interface GrpcConnectionOptions {
  /** Run around every call, outermost first: trace context, metrics. */
  readonly interceptors?: readonly Interceptor[] | undefined;
  /** Plain HTTP/2 when absent. */
  readonly tls?: TlsSource | undefined;
  /** How long a TCP (and TLS) handshake may take. */
  readonly connectTimeoutMs?: number | undefined;
  /** How long a connection without calls is kept. */
  readonly idleTimeoutMs?: number | undefined;
  /** HTTP/2 pings while calls are open. grpc-go servers drop clients that ping more often than every five minutes. */
  readonly pingIntervalMs?: number | undefined;
  readonly pingTimeoutMs?: number | undefined;
}

/** One HTTP/2 connection that opens on demand, reconnects by itself and closes when idle. */
export interface GrpcConnection extends Disposable {
  readonly transport: Transport;
  /** `host:port`, or the path of the socket. */
  readonly address: string;
}

/** Connect does not export the interface of its session managers by name. */
type SessionProvider = Extract<Parameters<typeof createNodeHttpClient>[0], { httpVersion: '2' }>['sessionProvider'];

const CONNECT_TIMEOUT_MS = 3_000;
const IDLE_TIMEOUT_MS = 300_000;
const PING_INTERVAL_MS = 300_000;
const PING_TIMEOUT_MS = 20_000;
/** A dead machine shows after this plus ten seconds of unanswered probes, long before the next HTTP/2 ping. */
const TCP_KEEPALIVE_MS = 10_000;
/** Receive windows: the 64 KiB of HTTP/2 would throttle lists and pieces in messages. */
const STREAM_WINDOW_BYTES = 512 * 1024;
const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;
const MAX_MESSAGE_BYTES = 0xffffffff;

/** Prepares a connection; nothing is dialled before the first call. */
export function createGrpcConnection(target: GrpcTarget, options: GrpcConnectionOptions = {}): GrpcConnection {
  const baseUrl = baseUrlOf(target, options.tls !== undefined);
  const sessions = new Http2SessionManager(
    baseUrl,
    {
      pingIntervalMs: options.pingIntervalMs ?? PING_INTERVAL_MS,
      pingTimeoutMs: options.pingTimeoutMs ?? PING_TIMEOUT_MS,
      idleConnectionTimeoutMs: options.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
    },
    { createConnection: () => dial(target, options), settings: { initialWindowSize: STREAM_WINDOW_BYTES } },
  );
  const preparedSessions = prepared(sessions);
  const transport = createTransport({
    baseUrl,
    httpClient: withReadableDetails(
      createNodeHttpClient({ httpVersion: '2', sessionProvider: () => preparedSessions }),
    ),
    interceptors: [...(options.interceptors ?? [])],
    useBinaryFormat: true,
    // Nobody in this protocol compresses, and stock servers cannot decompress.
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: 0,
    readMaxBytes: MAX_MESSAGE_BYTES,
    writeMaxBytes: MAX_MESSAGE_BYTES,
  });
  return { transport, address: addressOf(target), [Symbol.dispose]: () => sessions.abort() };
}

/** `host:port`, IPv6 in brackets, or the path of the socket. */
export function addressOf(target: GrpcTarget): string {
  return 'socketPath' in target ? target.socketPath : `${bracketed(target.host)}:${target.port}`;
}

function baseUrlOf(target: GrpcTarget, secure: boolean): string {
  if ('socketPath' in target) return 'http://localhost';
  return `${secure ? 'https' : 'http'}://${bracketed(target.host)}:${target.port}`;
}

function bracketed(host: string): string {
  return net.isIPv6(host) ? `[${host}]` : host;
}

function dial(target: GrpcTarget, options: GrpcConnectionOptions): Duplex {
  const timeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
  const where =
    'socketPath' in target
      ? { path: target.socketPath }
      : {
          host: target.host,
          port: target.port,
          keepAlive: true,
          keepAliveInitialDelay: TCP_KEEPALIVE_MS,
          noDelay: true,
        };
  const secure = options.tls !== undefined && !('socketPath' in target);
  const socket = secure
    ? tls.connect({ ...where, ...connectionOptionsOf(options.tls), ALPNProtocols: ['h2'] })
    : net.connect(where);
  const timer = setTimeout(() => {
    socket.destroy(Object.assign(new Error(`no connection within ${timeoutMs} ms`), { code: 'ETIMEDOUT' }));
  }, timeoutMs);
  const stop = (): void => clearTimeout(timer);
  socket.once(secure ? 'secureConnect' : 'connect', stop);
  socket.once('close', stop);
  return socket;
}

/** Saves calls to stock daemons, whose error details are JSON, from being failed for that. */
function withReadableDetails(next: UniversalClientFn): UniversalClientFn {
  return async (request) => {
    const response = await next(request);
    keepJsonDetails(response.header);
    return {
      ...response,
      body: { [Symbol.asyncIterator]: () => watchEnd(response.body, () => keepJsonDetails(response.trailer)) },
    };
  };
}

/** Trailers are there once the body has ended. Not a generator: one would make `throw` wait for a pending `next`. */
function watchEnd(body: AsyncIterable<Uint8Array>, onEnd: () => void): AsyncIterator<Uint8Array> {
  const inner = body[Symbol.asyncIterator]();
  return {
    async next() {
      const result = await inner.next();
      if (result.done === true) onEnd();
      return result;
    },
    async throw(error: unknown) {
      if (inner.throw === undefined) throw error;
      return inner.throw(error);
    },
  };
}

/** Widens the receive window of every connection that the manager opens, and listens to its errors for good. */
function prepared(sessions: Http2SessionManager): ReturnType<NonNullable<SessionProvider>> {
  const seen = new WeakSet<ClientHttp2Session>();
  return {
    authority: sessions.authority,
    notifyResponseByteRead: (stream) => sessions.notifyResponseByteRead(stream),
    async request(method, path, headers, options) {
      const stream = await sessions.request(method, path, headers, options);
      // Sessions of a client are client sessions; the stream's type cannot tell.
      const session = stream.session as ClientHttp2Session | undefined;
      if (session !== undefined && !seen.has(session)) {
        seen.add(session);
        session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
        // Calls and the manager have learned of a failure before the session tells it; a manager that is disposed in
        // between no longer listens, and an error that nobody listens to would end the process.
        session.on('error', () => undefined);
      }
      return stream;
    },
  };
}

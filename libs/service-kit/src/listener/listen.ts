import { chmod } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import { createSecureServer, createServer as createHttp2Server } from 'node:http2';
import type { Http2Server, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { DescMessage, Message } from '@bufbuild/protobuf';
import type { ConnectRouter, Interceptor } from '@connectrpc/connect';
import { delay } from '../async/delay.ts';
import { describeSystemError, StartError } from '../lifecycle/start-error.ts';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Telemetry } from '../observe/telemetry.ts';
import type { Health } from '../rpc/health.ts';
import { createServerCalls } from '../rpc/interceptors.ts';
import { registerReflection } from '../rpc/reflection.ts';
import type { HttpHandler } from './http-handler.ts';
import { sendLine } from './http-handler.ts';
import { createRpcHandler } from './rpc-handler.ts';
import { sniff } from './sniff.ts';
import { readTlsFiles } from './tls-files.ts';
import type { TlsFiles } from './tls-files.ts';
import { TlsIdentity } from './tls-identity.ts';
import { removeStaleSocket } from './unix-socket.ts';

export interface ListenOptions {
  /** Address to listen on; every address unless given. */
  readonly host?: string | undefined;
  /** TCP port; 0 lets the system choose. */
  readonly port?: number;
  /** Unix socket instead of a TCP port. */
  readonly path?: string;
  /** Permissions of the unix socket: 0o777 lets every local user in. */
  readonly mode?: number;
  /** Registers RPC services. */
  readonly grpc?: (router: ConnectRouter) => void;
  /** Answers what is no RPC, over HTTP/1 and HTTP/2 (through Node's compatible API). Without it: 404. */
  readonly http?: HttpHandler;
  /** Takes over CONNECT requests of HTTP/1. Without it they are refused. */
  readonly connect?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /** Run inside of those that map errors, trace and count. Streams of messages (`messageStream`) do without them. */
  readonly interceptors?: Interceptor[];
  /** Checks what comes on streams of messages, by its type; throws what callers are told. */
  readonly guardOf?: (type: DescMessage) => ((message: Message) => void) | undefined;
  /** Paths (`/package.Service/Method`) of response streams that stock clients keep open for hours, headers first. */
  readonly longStreams?: readonly string[];
  /** With an identity that verifies others, clients must have a certificate that it trusts. Its files may change. */
  readonly tls?: TlsFiles | TlsIdentity | undefined;
  readonly logger: Logger;
  readonly telemetry?: Telemetry;
  readonly metrics?: Metrics;
  readonly health?: Health;
  /** Tells clients by grpc.reflection what the listener offers. */
  readonly reflection?: boolean;
  /** How long requests under way may take to end when the listener is disposed. */
  readonly drainMs?: number;
  /** How long a new connection may be silent. */
  readonly firstByteTimeoutMs?: number;
  readonly maxConcurrentStreams?: number;
  /** What a client of HTTP/1 may take; Node's own limits unless given. */
  readonly http1?: Http1Limits;
  /** How long an HTTP/2 connection may be without a stream before it is told to go; for ever unless given. */
  readonly idleTimeoutMs?: number;
}

/** Clients that exceed them are answered 408 or 431, and cut off. */
export interface Http1Limits {
  /** From the first byte of a request until its headers are complete. */
  readonly headersTimeoutMs?: number;
  /** Until the request is complete. */
  readonly requestTimeoutMs?: number;
  readonly maxHeaderBytes?: number;
}

export interface Listener extends AsyncDisposable {
  /** The TCP port, also when the system chose it; 0 for a unix socket. */
  readonly port: number;
  /** `host:port` to show and to dial on this machine, or the path of the unix socket. */
  readonly address: string;
  /** Stops accepting, tells clients to go, waits `drainMs` for requests under way, then cuts them off. */
  [Symbol.asyncDispose](): Promise<void>;
}

const DEFAULT_DRAIN_MS = 5_000;
const DEFAULT_FIRST_BYTE_TIMEOUT_MS = 10_000;
const DEFAULT_MAX_CONCURRENT_STREAMS = 10_000;
/** Bytes a client may send ahead: per stream and per connection. Node's 64 KiB would hold messages with piece content back. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const SESSION_WINDOW_BYTES = 4 * 1024 * 1024;

/**
 * One listener for gRPC (HTTP/2 without TLS, by its preface), Connect and plain HTTP/1 on the same TCP port or unix socket.
 * @throws {StartError} when it cannot listen or its TLS files are unusable, with a line that says what to do
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  const { logger, drainMs = DEFAULT_DRAIN_MS } = options;
  const rpc = createRpcHandler({
    routes: (router) => {
      options.health?.register(router);
      options.grpc?.(router);
      if (options.reflection === true) registerReflection(router);
    },
    begin: createServerCalls({ logger, telemetry: options.telemetry, metrics: options.metrics }),
    interceptors: options.interceptors ?? [],
    guardOf: options.guardOf ?? (() => undefined),
    longStreams: options.longStreams ?? [],
    fallback: options.http ?? ((_request, response) => sendLine(response, 404, 'not found')),
    logger,
  });
  let closing: Promise<void> | undefined;
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    // A connection that has become idle meanwhile would hold the close up until its keep-alive time is over.
    if (request.httpVersionMajor < 2)
      response.once('close', () => closing && setImmediate(() => front.closeIdleConnections?.()));
    void answer(rpc.handle, request, response, logger);
  };

  const undecided = new Set<Socket>();
  const { front, http2 } = createServers(options, onRequest, undecided);
  // Node makes requests and responses of streams in a listener of its own, which gets what is left.
  const compatible = http2.listeners('stream') as ((...of: StreamEvent) => void)[];
  http2.removeAllListeners('stream');
  http2.on('stream', (...of: StreamEvent) => {
    const [stream, headers] = of;
    if (closing === undefined && rpc.accept(stream, headers)) return;
    for (const listener of compatible) listener.apply(http2, of);
  });
  const sessions = new Set<ServerHttp2Session>();
  http2.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    session.on('error', (error) => logger.debug({ err: error }, 'http2 session failed'));
    session.setLocalWindowSize(SESSION_WINDOW_BYTES);
    if (closing !== undefined) session.close();
    if (options.idleTimeoutMs !== undefined) closeWhenIdle(session, options.idleTimeoutMs);
  });
  const sockets = new Set<Socket>();
  front.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const { connect } = options;
  if (connect !== undefined) front.on('connect', connect);
  else
    front.on('connect', (_request: IncomingMessage, socket: Duplex) =>
      socket.end('HTTP/1.1 405 Method Not Allowed\r\n\r\n'),
    );

  const address = await bind(front, options);
  const close = async () => {
    const closed = new Promise<void>((resolve) => void front.close(() => resolve()));
    for (const socket of undecided) socket.destroy();
    for (const session of sessions) session.close(); // GOAWAY; streams under way may end
    rpc.drainStreams();
    const drained = new AbortController();
    await Promise.race([
      closed.finally(() => drained.abort()),
      delay(drainMs, { signal: drained.signal }).catch(() => undefined),
    ]);
    rpc.abortAll();
    for (const session of sessions) session.destroy();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return { ...address, [Symbol.asyncDispose]: () => (closing ??= close()) };
}

type StreamEvent = [stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, rawHeaders: string[]];

/** Says goodbye to a client that has not asked for anything for long; it connects again when it needs to. */
function closeWhenIdle(session: ServerHttp2Session, idleTimeoutMs: number): void {
  let openStreams = 0;
  let idleSinceMs = performance.now();
  // Looked at when it can be time, rather than set anew for each of thousands of calls.
  const look = () => {
    const leftMs = openStreams > 0 ? idleTimeoutMs : idleSinceMs + idleTimeoutMs - performance.now();
    if (leftMs <= 0) session.close();
    else timer = setTimeout(look, Math.ceil(leftMs)).unref();
  };
  let timer = setTimeout(look, idleTimeoutMs).unref();
  session.once('close', () => clearTimeout(timer));
  session.on('stream', (stream) => {
    openStreams++;
    stream.once('close', () => {
      openStreams--;
      if (openStreams === 0) idleSinceMs = performance.now();
    });
  });
}

/** An HTTP/1 server, or one for TLS that need not have all of its methods. */
type Front = Omit<Server, 'closeIdleConnections'> & Partial<Pick<Server, 'closeIdleConnections'>>;

/** The server that accepts, and the one that speaks HTTP/2: with TLS they are the same. */
function createServers(
  options: ListenOptions,
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
  undecided: Set<Socket>,
): { front: Front; http2: Http2Server } {
  const settings = {
    initialWindowSize: STREAM_WINDOW_BYTES,
    maxConcurrentStreams: options.maxConcurrentStreams ?? DEFAULT_MAX_CONCURRENT_STREAMS,
  };
  // Node's HTTP/2 compatibility API has the same shape at run time; only its types are unrelated.
  const onHttp2Request = onRequest as unknown as Parameters<typeof createHttp2Server>[1];
  const firstByteTimeoutMs = options.firstByteTimeoutMs ?? DEFAULT_FIRST_BYTE_TIMEOUT_MS;
  if (options.tls !== undefined) {
    const identity = options.tls instanceof TlsIdentity ? options.tls : undefined;
    const material =
      options.tls instanceof TlsIdentity
        ? {
            ...options.tls.current,
            requestCert: options.tls.verifiesOthers,
            rejectUnauthorized: options.tls.verifiesOthers,
          }
        : readTlsFiles(options.tls);
    const secure = createSecureServer(
      {
        ...material,
        allowHTTP1: true,
        http1Options: http1OptionsOf(options.http1),
        settings,
        handshakeTimeout: firstByteTimeoutMs,
      },
      onHttp2Request,
    );
    const renewal = identity?.onChange((renewed) => secure.setSecureContext(renewed));
    secure.once('close', () => renewal?.[Symbol.dispose]());
    secure.on('tlsClientError', () => undefined);
    return { front: secure as unknown as Front, http2: secure };
  }
  const http2 = createHttp2Server({ settings }, onHttp2Request);
  const front = createServer({ noDelay: true, ...http1OptionsOf(options.http1) }, onRequest);
  // The HTTP/1 server listens itself, so that its own time limits and its bookkeeping of idle connections work; it only gets
  // to see a connection after the sniffer.
  const [serveHttp1] = front.listeners('connection') as ((socket: Socket) => void)[];
  front.removeAllListeners('connection');
  front.on('connection', (socket: Socket) => {
    undecided.add(socket);
    const decided = () => undecided.delete(socket);
    socket.once('close', decided);
    sniff(socket, firstByteTimeoutMs, {
      http1(sniffed) {
        decided();
        serveHttp1?.call(front, sniffed);
      },
      http2(sniffed) {
        decided();
        http2.emit('connection', sniffed);
      },
    });
  });
  return { front, http2 };
}

function http1OptionsOf({ headersTimeoutMs, requestTimeoutMs, maxHeaderBytes }: Http1Limits = {}): ServerOptions {
  const timeouts = [headersTimeoutMs, requestTimeoutMs].filter((timeoutMs) => timeoutMs !== undefined);
  return {
    ...(headersTimeoutMs !== undefined && { headersTimeout: headersTimeoutMs }),
    ...(requestTimeoutMs !== undefined && { requestTimeout: requestTimeoutMs }),
    // Node looks for late requests this often; its 30 s would more than double short limits.
    ...(timeouts.length > 0 && { connectionsCheckingInterval: Math.ceil(Math.min(...timeouts) / 4) }),
    ...(maxHeaderBytes !== undefined && { maxHeaderSize: maxHeaderBytes }),
  };
}

async function bind(
  server: Front,
  { host, port, path, mode }: ListenOptions,
): Promise<{ port: number; address: string }> {
  if (path !== undefined) await removeStaleSocket(path);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  if (path === undefined) server.listen({ port: port ?? 0, ...(host === undefined ? {} : { host }) }, resolve);
  else server.listen({ path }, resolve);
  try {
    await promise;
    if (path !== undefined && mode !== undefined) await chmod(path, mode);
  } catch (error) {
    server.close();
    throw new StartError(describeSystemError(error) ?? `${path ?? `${host ?? ''}:${port ?? 0}`}: cannot listen`, {
      cause: error,
    });
  }
  server.off('error', reject);
  if (path !== undefined) return { port: 0, address: path };
  const bound = server.address() as AddressInfo;
  const reachable = bound.address === '::' || bound.address === '0.0.0.0' ? '127.0.0.1' : bound.address;
  return {
    port: bound.port,
    address: reachable.includes(':') ? `[${reachable}]:${bound.port}` : `${reachable}:${bound.port}`,
  };
}

/** Runs a handler so that nothing it throws goes unanswered or unobserved. */
async function answer(
  handler: HttpHandler,
  request: IncomingMessage,
  response: ServerResponse,
  logger: Logger,
): Promise<void> {
  try {
    await handler(request, response);
  } catch (error) {
    logger.error({ err: error, method: request.method, url: request.url }, 'request failed');
    if (response.headersSent) response.destroy();
    else sendLine(response, 500, 'internal error');
  }
}

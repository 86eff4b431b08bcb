import { setMaxListeners } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { Code, ConnectError, createConnectRouter, createContextValues } from '@connectrpc/connect';
import type { ConnectRouter, ContextValues, Interceptor, MethodImpl } from '@connectrpc/connect';
import type { DescMethod } from '@bufbuild/protobuf';
import type { UniversalHandler } from '@connectrpc/connect/protocol';
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node';
import type { Logger } from '../observe/logger.ts';
import { CALLER, type Caller, callerOf } from '../rpc/caller.ts';
import type { HttpHandler } from './http-handler.ts';
import { sendLine } from './http-handler.ts';
import type { BeginCall } from '../rpc/interceptors.ts';
import { serverInterceptor } from '../rpc/interceptors.ts';
import { messageStreamOf } from '../rpc/message-stream.ts';
import { LeanStreams } from './lean-streams.ts';
import type { LeanStreamsOptions } from './lean-streams.ts';
import { openEarly, resetAfterTrailers } from './stock-streams.ts';

export interface RpcHandlerOptions {
  readonly routes: (router: ConnectRouter) => void;
  /** Run inside of those that map errors, trace and count. Streams of messages (`messageStream`) do without them. */
  readonly interceptors: Interceptor[];
  readonly begin: BeginCall;
  readonly guardOf: LeanStreamsOptions['guardOf'];
  /** Paths (`/package.Service/Method`) of streams that stock clients keep open for long. */
  readonly longStreams: readonly string[];
  /** Gets what is no RPC. */
  readonly fallback: HttpHandler;
  readonly logger: Logger;
}

/** gRPC, gRPC-web and Connect on Node's request and response, over HTTP/1 and HTTP/2. */
export interface RpcHandler {
  readonly handle: HttpHandler;
  /** Takes over a stream of HTTP/2 that needs no request and response. @returns whether it did */
  accept(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean;
  /** RPCs under way. */
  readonly inFlight: number;
  /** Aborts the signals of streams, which would not end by themselves. */
  drainStreams(): void;
  /** Aborts the signals of all calls. */
  abortAll(): void;
}

export function createRpcHandler(options: RpcHandlerOptions): RpcHandler {
  const { logger, fallback } = options;
  const streams = new AbortController();
  const unary = new AbortController();
  setMaxListeners(0, streams.signal, unary.signal); // one listener per call under way is no leak
  const lean = new LeanStreams({
    ...{ begin: options.begin, guardOf: options.guardOf, shutdown: streams.signal },
    valuesOf: (stream) => (stream.session === undefined ? undefined : contextOf(stream.session)),
  });
  const handlers = collectHandlers(options, { streams: streams.signal, unary: unary.signal }, lean);
  const longStreams = new Set(options.longStreams);
  let inFlight = 0;

  const handle: HttpHandler = (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    const handler = handlers.get(path);
    if (handler === undefined) {
      if (isGrpc(request)) return sendUnimplemented(response, path);
      return fallback(request, response);
    }
    if (request.httpVersionMajor >= 2 && isGrpc(request)) {
      if (longStreams.has(path)) openEarly(request, response);
      const { methodKind } = handler.method;
      if (methodKind === 'bidi_streaming' || methodKind === 'client_streaming') resetAfterTrailers(response);
    }
    let universal;
    try {
      universal = universalRequestFromNodeRequest(request, response, undefined, contextOf(connectionOf(request)));
    } catch {
      return sendLine(response, 400, 'the request names no host'); // Connect needs an authority to build a URL
    }
    inFlight += 1;
    return handler(universal)
      .then((answer) => universalResponseToNodeResponse(answer, response))
      .catch((error: unknown) => {
        // The other side has gone: its call has been told by its signal.
        const { code } = ConnectError.from(error);
        if (code !== Code.Aborted && code !== Code.Canceled)
          logger.warn({ err: error, rpc: path }, 'rpc: response not sent');
        response.destroy();
      })
      .finally(() => {
        inFlight -= 1;
      });
  };
  const draining = () => new ConnectError('the server is shutting down', Code.Unavailable);
  return {
    handle,
    accept: (stream, headers) => lean.accept(stream, headers),
    get inFlight() {
      return inFlight + lean.size;
    },
    drainStreams: () => streams.abort(draining()),
    abortAll: () => {
      streams.abort(draining());
      unary.abort(draining());
    },
  };
}

/** Certificates are read once per connection. */
const callers = new WeakMap<object, Caller | undefined>();

type Connection = (ServerHttp2Stream['session'] & object) | IncomingMessage['socket'];

/** With HTTP/2 many requests have one connection. */
const connectionOf = (request: IncomingMessage): Connection =>
  (request as unknown as Partial<Http2ServerRequest>).stream?.session ?? request.socket;

function contextOf(connection: Connection): ContextValues | undefined {
  // The socket of a session is only to be had through it, and shows its methods only when asked for them.
  const socket = ('socket' in connection ? connection.socket : connection) as Partial<TLSSocket>;
  if (typeof socket.getPeerCertificate !== 'function') return undefined;
  if (!callers.has(connection)) callers.set(connection, callerOf(socket as TLSSocket));
  return createContextValues().set(CALLER, callers.get(connection));
}

/** Registers the routes so that streams and single calls hear of a shutdown at different times. */
function collectHandlers(
  { routes, interceptors, begin }: RpcHandlerOptions,
  shutdown: { streams: AbortSignal; unary: AbortSignal },
  lean: LeanStreams,
): Map<string, UniversalHandler> {
  const router = createConnectRouter({ interceptors: [serverInterceptor(begin), ...interceptors] });
  const signalFor = (method: DescMethod) => (method.methodKind === 'unary' ? shutdown.unary : shutdown.streams);
  const facade: ConnectRouter = {
    handlers: router.handlers,
    rpc(method, implementation, options) {
      const path = `/${method.parent.typeName}/${method.name}`;
      lean.register(path, method, implementation, options?.readMaxBytes);
      router.rpc(method, implementation, { shutdownSignal: signalFor(method), ...options });
      return facade;
    },
    service(service, implementation, options) {
      for (const method of service.methods) {
        const implemented = (implementation as Record<string, unknown>)[method.localName];
        // One that is missing is answered like an unknown path: Unimplemented.
        if (typeof implemented === 'function')
          facade.rpc(method, boundTo(implementation, implemented) as MethodImpl<DescMethod>, options);
      }
      return facade;
    },
  };
  routes(facade);
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
}

/** A stream of messages needs no `this`, and would not be known for one any more. */
const boundTo = (owner: unknown, method: CallableFunction): unknown =>
  messageStreamOf(method) === undefined ? method.bind(owner) : method;

const isGrpc = (request: IncomingMessage): boolean =>
  request.headers['content-type']?.startsWith('application/grpc') === true &&
  !request.headers['content-type'].startsWith('application/grpc-web');

function sendUnimplemented(response: ServerResponse, path: string): void {
  response
    .writeHead(200, {
      'content-type': 'application/grpc',
      'grpc-status': String(Code.Unimplemented),
      'grpc-message': encodeURIComponent(`no such method: ${path}`),
    })
    .end();
}

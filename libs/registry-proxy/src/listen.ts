import { createServer } from 'node:http';
import type { Duplex } from 'node:stream';
import type { AddressInfo, Socket } from 'node:net';
import type { RegistryProxy } from './registry-proxy.ts';

export interface ListenProxyOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** How long a client may take to send the head of a request. */
  readonly headerTimeoutMs?: number;
  /** How long a connection may stay silent, in a request or between two. */
  readonly idleTimeoutMs?: number;
  /** How long requests may go on after disposal began. */
  readonly drainMs?: number;
}

export interface ListeningProxy extends AsyncDisposable {
  readonly port: number;
}

/**
 * Serves HTTP/1 until disposed: then no connection is accepted, idle ones are closed at once, requests under way finish
 * within the drain time.
 * @throws the error of listen(), such as EADDRINUSE
 */
export async function listenProxy(
  proxy: Pick<RegistryProxy, 'handle' | 'connect'>,
  options: ListenProxyOptions,
): Promise<ListeningProxy> {
  const { host, port, headerTimeoutMs = 30_000, idleTimeoutMs = 5 * 60_000, drainMs = 10_000 } = options;
  const server = createServer(
    {
      headersTimeout: headerTimeoutMs,
      // An upload through the mirror may take as long as it makes progress: silence is bounded below, duration is not.
      requestTimeout: 0,
      keepAliveTimeout: idleTimeoutMs,
      noDelay: true,
    },
    proxy.handle,
  );
  server.on('clientError', refuseUnreadable);
  const tunnels = new Set<Duplex>();
  server.on('connect', (request, socket, head) => {
    tunnels.add(socket);
    socket.once('close', () => tunnels.delete(socket));
    // What comes out of an intercepted CONNECT is a connection like any other, with the same limits.
    proxy.connect(request, socket as Socket, head, (inside) => server.emit('connection', inside));
  });
  server.setTimeout(idleTimeoutMs);
  let isDraining = false;
  server.on('request', (_request, response) => {
    // A connection whose last request has ended counts as idle only now.
    response.on('close', () => isDraining && setImmediate(() => server.closeIdleConnections()));
  });
  const { promise: listening, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host, port }, resolve);
  await listening;
  server.off('error', reject);
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      isDraining = true;
      const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
      server.close(() => onClosed());
      const deadline = setTimeout(() => {
        server.closeAllConnections();
        for (const socket of tunnels) socket.destroy();
      }, drainMs);
      await closed;
      clearTimeout(deadline);
    },
  };
}

/** What is no HTTP gets an answer of ours too, where there is somebody to read it. */
function refuseUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\nX-Dragonfly-Error-Type: proxy\r\n\r\n`);
}

import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** A server of this process on 127.0.0.1. */
export interface LoopbackServer extends AsyncDisposable {
  readonly port: number;
  /** `127.0.0.1:<port>`. */
  readonly host: string;
  /** `http://127.0.0.1:<port>`, or https. */
  readonly url: string;
  readonly server: Server;
}

/** Serves HTTP/1.1, or HTTPS when given a certificate, on a free port (or `port`). Disposal cuts the connections that are open. */
export async function listenHttp(
  handler: RequestListener,
  { tls, port = 0 }: { tls?: { cert: string; key: string }; port?: number } = {},
): Promise<LoopbackServer> {
  const server =
    tls === undefined ? createHttpServer(handler) : createHttpsServer({ cert: tls.cert, key: tls.key }, handler);
  server.requestTimeout = 0; // a test may make a request last as long as it likes
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve);
  });
  const bound = (server.address() as AddressInfo).port;
  return {
    port: bound,
    host: `127.0.0.1:${bound}`,
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${bound}`,
    server,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

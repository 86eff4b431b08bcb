import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createLogger, noTelemetry } from '@d7y/service-kit';
import { parseRangeHeader, toContentRangeHeader } from '@d7y/piece';
import type { OriginContent } from '@d7y/peer-engine/testing';
import type { OriginClientOptions } from './origin-client.ts';
import { createOriginClient } from './origin-client.ts';

/** A server on loopback that remembers what it was asked. */
export interface TestServer extends AsyncDisposable {
  /** Without a slash at its end. */
  readonly url: string;
  readonly requests: IncomingMessage[];
  /** Sockets accepted so far. */
  readonly connections: () => number;
}

/** @param tls key and certificate in PEM, for https */
export async function startServer(
  handler: RequestListener,
  tls?: { key: string; cert: string; hostname?: string },
): Promise<TestServer> {
  const requests: IncomingMessage[] = [];
  const listener: RequestListener = (request, response) => {
    requests.push(request);
    response.on('error', () => undefined);
    handler(request, response);
  };
  const server: Server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  let connections = 0;
  server.on('connection', () => connections++);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: tls === undefined ? `http://127.0.0.1:${port}` : `https://${tls.hostname ?? '127.0.0.1'}:${port}`,
    requests,
    connections: () => connections,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Answers as a well-behaved origin does. */
export function serveContent(content: OriginContent, request: IncomingMessage, response: ServerResponse): void {
  const { bytes, acceptsRanges = true, tellsLength = true, headers = {}, authorization } = content;
  if (authorization !== undefined && request.headers.authorization !== authorization) {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end('who are you?');
    return;
  }
  const wanted = acceptsRanges ? parseRangeHeader(request.headers.range, bytes.length) : { kind: 'whole' as const };
  if (wanted.kind === 'unsatisfiable') {
    // As docker-registry does: the length of the content, another body, and the end of the connection.
    response.writeHead(416, {
      'content-range': `bytes */${bytes.length}`,
      'content-length': String(bytes.length + 33),
    });
    response.write('the requested range does not exist', () => response.destroy());
    return;
  }
  if (wanted.kind === 'whole') {
    const length = tellsLength ? { 'content-length': String(bytes.length) } : {};
    response.writeHead(200, { ...headers, ...length });
    response.flushHeaders(); // without a length this makes the answer chunked
    response.end(request.method === 'HEAD' ? undefined : bytes);
    return;
  }
  const [range] = wanted.ranges;
  const part = bytes.subarray(range.start, range.start + range.length);
  response.writeHead(206, {
    ...headers,
    'content-length': String(part.length),
    'content-range': toContentRangeHeader(range, bytes.length),
  });
  response.end(request.method === 'HEAD' ? undefined : part);
}

/** A client that waits for nothing; what it would have waited is in `waits`, in ms. */
export function testClient(options: Partial<OriginClientOptions> = {}) {
  const waits: number[] = [];
  const client = createOriginClient({
    logger: createLogger({ name: 'test', level: 'silent' }),
    tracer: noTelemetry().tracer,
    ...options,
    retry: {
      random: () => 1,
      wait: (delayMs, { signal }) => {
        signal.throwIfAborted();
        waits.push(delayMs);
        return Promise.resolve();
      },
      ...options.retry,
    },
  });
  return Object.assign(client, { waits });
}

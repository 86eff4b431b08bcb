import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import { constants } from 'node:http2';

/**
 * Resets the stream with NO_ERROR once its trailers are out. Node does not do so when a handler returns before the client has
 * ended its request; stock clients of bidirectional calls then wait for ever.
 */
export function resetAfterTrailers(response: ServerResponse): void {
  const { stream } = response as unknown as Http2ServerResponse;
  stream.once('wantTrailers', () =>
    // Not a microtask: the trailers are sent in this tick, and a reset before them discards them.
    setImmediate(() => {
      if (!stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
    }),
  );
}

/**
 * Prepares a gRPC stream that may be silent for long and live for hours. Stock clients want response headers within 10 s, but Connect
 * sends them with the first message: they are sent now, and what the handler adds later is dropped. Their `grpc-timeout` is meant for
 * the headers only, so it is taken away before it ends the stream.
 */
export function openEarly(request: IncomingMessage, response: ServerResponse): void {
  delete request.headers['grpc-timeout'];
  response.writeHead(200, { 'content-type': request.headers['content-type'] ?? 'application/grpc' });
  response.writeHead = () => response;
}

import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  constants,
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { connect as connectTcp, createServer as createTcpServer, type Server, type Socket } from 'node:net';

/** Stands between two processes, passes everything on, and keeps a copy of what each says. */
export interface Wiretap extends AsyncDisposable {
  /** All that was said so far, in both directions: header names and values as text, bodies as they are. */
  heard(): Buffer;
}

export interface WiretapOptions {
  /** Where the others connect. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Where the process itself listens. */
  readonly upstream: { readonly host: string; readonly port: number };
}

/** Most bytes kept of one stream: messages are shorter, and the content of pieces is not what is looked for. */
const MAX_KEPT_BYTES = 256 * 1024;

/** Headers that belong to one hop. */
const HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'http2-settings']);

/** Taps gRPC: headers travel packed in HTTP/2, so this end unpacks them and packs them again. */
export async function tapGrpc({ listen, upstream }: WiretapOptions): Promise<Wiretap> {
  const kept = new Kept();
  const sessions = new Set<{ destroy(): void }>();
  const server = createHttp2Server();
  server.on('session', (session) => {
    sessions.add(session);
    const beyond = connectHttp2(`http://${upstream.host}:${upstream.port}`);
    sessions.add(beyond);
    session.on('error', () => undefined).once('close', () => beyond.destroy());
    beyond.on('error', () => undefined).once('close', () => session.destroy());
    session.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) =>
      relayStream(stream, headers, beyond, kept),
    );
  });
  await listening(server, listen);
  return {
    heard: () => kept.all(),
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const session of sessions) session.destroy();
      await closed;
    },
  };
}

function relayStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, beyond: ClientHttp2Session, kept: Kept) {
  if (beyond.destroyed) return stream.close(constants.NGHTTP2_REFUSED_STREAM);
  kept.headers(headers);
  const request = beyond.request(endToEnd(headers));
  let trailers: OutgoingHttpHeaders = {};
  stream.on('error', () => request.close(constants.NGHTTP2_CANCEL));
  request.on('error', () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
  stream.once('aborted', () => request.close(constants.NGHTTP2_CANCEL));
  // A server resets without an error what it has answered before all of it was asked: the answer is still to be passed on.
  request.once('aborted', () => request.rstCode !== constants.NGHTTP2_NO_ERROR && stream.close(request.rstCode));
  request.once('response', (answer, flags: number) => {
    kept.headers(answer);
    if (stream.destroyed || stream.closed) return;
    if (flags & constants.NGHTTP2_FLAG_END_STREAM) {
      stream.respond(endToEnd(answer), { endStream: true });
      return;
    }
    stream.respond(endToEnd(answer), { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers(trailers));
    kept.copyOf(request);
    request.pipe(stream);
  });
  request.once('trailers', (received: IncomingHttpHeaders) => {
    kept.headers(received);
    trailers = endToEnd(received);
  });
  kept.copyOf(stream);
  stream.pipe(request);
}

/** Taps any protocol over TCP. */
export async function tapTcp({ listen, upstream }: WiretapOptions): Promise<Wiretap> {
  const kept = new Kept();
  const sockets = new Set<Socket>();
  const server = createTcpServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    const far = connectTcp({ ...upstream, noDelay: true, allowHalfOpen: true });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy()).once('close', () => sockets.delete(socket));
      kept.copyOf(socket);
      socket.pipe(other);
    }
  });
  await listening(server, listen);
  return {
    heard: () => kept.all(),
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** What was said, in the order in which it came. */
class Kept {
  readonly #parts: Buffer[] = [];

  headers(headers: IncomingHttpHeaders): void {
    for (const [name, value] of Object.entries(headers)) this.#parts.push(Buffer.from(`\n${name}: ${String(value)}\n`));
  }

  copyOf(stream: NodeJS.ReadableStream): void {
    const parts: Buffer[] = [];
    let bytes = 0;
    // A message may lie across two chunks: each stream is kept in one stretch.
    const stretch = this.#parts.push(Buffer.alloc(0)) - 1;
    stream.on('data', (chunk: Buffer) => {
      if (bytes >= MAX_KEPT_BYTES) return;
      bytes += chunk.length;
      parts.push(chunk);
      this.#parts[stretch] = Buffer.concat(parts);
    });
  }

  all(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

function endToEnd(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP.has(name)));
}

function listening(server: Pick<Server, 'once' | 'listen'>, at: WiretapOptions['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...at }, resolve);
  });
}

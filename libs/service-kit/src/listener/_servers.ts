import { connect as connectHttp2 } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { once } from 'node:events';
import { create, toBinary } from '@bufbuild/protobuf';
import type { DescMessage, MessageInitShape } from '@bufbuild/protobuf';
import { createLogger } from '../observe/logger.ts';
import type { Logger } from '../observe/logger.ts';

/** A logger that remembers its lines. */
export function memoryLogger(): { logger: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  return { logger: createLogger({ name: 'test', level: 'debug', stream }), lines };
}

/** One message in the framing of gRPC. */
export function grpcFrame<Desc extends DescMessage>(schema: Desc, message: MessageInitShape<Desc>): Buffer {
  const body = toBinary(schema, create(schema, message));
  const frame = Buffer.alloc(5 + body.length);
  frame.writeUInt32BE(body.length, 1);
  frame.set(body, 5);
  return frame;
}

/** What a raw HTTP/2 stream showed, as promises. */
export interface ObservedStream {
  readonly stream: ClientHttp2Stream;
  readonly headers: Promise<IncomingHttpHeaders>;
  readonly trailers: Promise<IncomingHttpHeaders>;
  /** The code of the reset, or of the orderly close. */
  readonly closed: Promise<number>;
}

/** Begins a gRPC call without any gRPC library, so that every frame can be seen. */
export function rawCall(
  session: ClientHttp2Session,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): ObservedStream {
  const stream = session.request(
    { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...headers },
    { endStream: false },
  );
  stream.on('error', () => undefined);
  stream.resume();
  const first = async (event: string) => ((await once(stream, event)) as [IncomingHttpHeaders])[0];
  const [head, trailers] = [first('response'), first('trailers')];
  const closed = once(stream, 'close').then(() => stream.rstCode ?? 0);
  for (const promise of [head, trailers, closed]) promise.catch(() => undefined);
  return { stream, headers: head, trailers, closed };
}

/** A raw HTTP/2 connection that closes with the test. */
export async function rawSession(address: string): Promise<{ session: ClientHttp2Session } & Disposable> {
  const session = connectHttp2(`http://${address}`);
  session.on('error', () => undefined);
  await once(session, 'connect');
  return { session, [Symbol.dispose]: () => session.destroy() };
}

/** Waits until a condition holds, checking between turns of the event loop. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

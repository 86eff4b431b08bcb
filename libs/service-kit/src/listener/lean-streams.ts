import type { ServerHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { constants } from 'node:http2';
import type { DescMessage, DescMethod, DescMethodBiDiStreaming, Message } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { ContextValues, HandlerContext, Interceptor, MethodImpl, StreamRequest } from '@connectrpc/connect';
import { Code, ConnectError, createContextValues } from '@connectrpc/connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import type { Logger } from '../observe/logger.ts';
import { grpcEnvelope, GrpcMessages } from './grpc-messages.ts';

type Method = DescMethodBiDiStreaming<DescMessage, DescMessage>;
type AnyFn = Parameters<Interceptor>[0];
const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

export interface LeanStreamsOptions {
  readonly interceptors: Interceptor[];
  /** Ends the signals of all calls when it is aborted. */
  readonly shutdown: AbortSignal;
  /** Values that handlers find in the context of a call on this stream. */
  readonly valuesOf: (stream: ServerHttp2Stream) => ContextValues | undefined;
  readonly logger: Logger;
}

/**
 * gRPC calls with streams in both directions, straight on Node's HTTP/2 streams. Handlers and interceptors are those that Connect would
 * run, and see no difference; but between them and the wire there are no web streams, no request and response objects and no
 * transformations of iterables, which cost several times what the calls themselves do. Whatever is not plain gRPC in the binary format is
 * left to Connect. Headers go out at once and `grpc-timeout` is not heeded: see `openEarly`.
 */
export class LeanStreams {
  readonly #options: LeanStreamsOptions;
  readonly #methods = new Map<string, { method: Method; invoke: AnyFn; maxBytes: number | undefined }>();
  readonly #calls = new Set<LeanCall>();

  constructor(options: LeanStreamsOptions) {
    this.#options = options;
    options.shutdown.addEventListener(
      'abort',
      () => {
        for (const call of this.#calls) call.abort(options.shutdown.reason);
      },
      { once: true },
    );
  }

  /** Calls under way. */
  get size(): number {
    return this.#calls.size;
  }

  /** Takes the method over, if it has streams in both directions. */
  register(
    path: string,
    described: DescMethod,
    handler: MethodImpl<DescMethod>,
    { readMaxBytes }: { readonly readMaxBytes?: number | undefined } = {},
  ): void {
    if (described.methodKind !== 'bidi_streaming') return;
    const method = described as Method;
    const implementation = handler as MethodImpl<Method>;
    const { interceptors } = this.#options;
    const innermost: AnyFn = (request) => {
      const { call, ...seen } = request as StreamRequest & { readonly call: LeanCall };
      const message = implementation(seen.message, call.contextOf(seen));
      return Promise.resolve({
        ...{ stream: true, method, service: method.parent, message: message as AsyncIterable<Message> },
        ...{ header: call.responseHeader, trailer: call.responseTrailer },
      });
    };
    this.#methods.set(path, {
      method,
      maxBytes: readMaxBytes,
      invoke: interceptors.reduceRight((next, run) => run(next), innermost),
    });
  }

  /** @returns whether the call is one of those; otherwise nothing was done to the stream */
  accept(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
    const registered = this.#methods.get(headers[':path'] ?? '');
    const type = headers['content-type'];
    if (registered === undefined || (type !== 'application/grpc' && type !== 'application/grpc+proto')) return false;
    if (headers[':method'] !== 'POST' || headers['grpc-encoding'] === 'gzip') return false;
    const { shutdown, valuesOf, logger } = this.#options;
    const call = new LeanCall(stream, headers, registered, valuesOf(stream));
    this.#calls.add(call);
    if (shutdown.aborted) call.abort(shutdown.reason);
    call
      .answer(registered.invoke)
      .catch((error: unknown) => {
        logger.warn({ err: error, rpc: headers[':path'] }, 'rpc: response not sent');
        stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      })
      .finally(() => this.#calls.delete(call));
    return true;
  }
}

/** One call. */
class LeanCall {
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #method: Method;
  readonly #values: ContextValues;
  readonly #requests: GrpcMessages;
  readonly #controller = new AbortController();
  readonly responseHeader = new Headers();
  readonly responseTrailer = new Headers();
  #drained: PromiseWithResolvers<void> | undefined;

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    { method, maxBytes }: { readonly method: Method; readonly maxBytes: number | undefined },
    values: ContextValues | undefined,
  ) {
    this.#stream = stream;
    this.#headers = headers;
    this.#method = method;
    this.#values = values ?? createContextValues();
    this.#requests = new GrpcMessages(stream, maxBytes);
    stream.on('error', () => undefined); // told by the close that follows
    stream.once('close', () => {
      const error = new ConnectError('the caller has gone', Code.Canceled);
      this.#requests.fail(error);
      this.#drained?.resolve();
      this.abort(error);
    });
    stream.on('drain', () => this.#drained?.resolve());
    const type = headers['content-type'] ?? 'application/grpc';
    stream.respond({ ':status': 200, 'content-type': type }, { waitForTrailers: true, endStream: false });
  }

  abort(reason: unknown): void {
    if (!this.#controller.signal.aborted) this.#controller.abort(reason);
  }

  contextOf({ signal, header, contextValues, url }: Omit<StreamRequest, 'message'>): HandlerContext {
    return {
      ...{ method: this.#method, service: this.#method.parent, signal, requestHeader: header, url },
      ...{ requestMethod: 'POST', protocolName: 'grpc', timeoutMs: () => undefined, values: contextValues },
      ...{ responseHeader: this.responseHeader, responseTrailer: this.responseTrailer },
    };
  }

  /** Runs the call to its end. */
  async answer(invoke: AnyFn): Promise<void> {
    const request = {
      ...{ stream: true, method: this.#method, service: this.#method.parent, requestMethod: 'POST' },
      ...{ url: `http://${this.#headers[':authority'] ?? ''}${this.#headers[':path'] ?? ''}`, call: this },
      ...{ signal: this.#controller.signal, header: toHeaders(this.#headers), contextValues: this.#values },
      message: this.#messages(),
    } as unknown as StreamRequest;
    let failure: ConnectError | undefined;
    try {
      const response = await invoke(request);
      if (!response.stream) throw new ConnectError('not a stream', Code.Internal);
      for await (const message of response.message) {
        if (this.#stream.destroyed) break;
        if (!this.#stream.write(grpcEnvelope(this.#encode(message)))) await this.#drain();
      }
    } catch (error) {
      failure = ConnectError.from(error);
    }
    this.abort(new ConnectError('the call is over', Code.Canceled));
    this.#requests.fail(undefined);
    this.#end(failure);
  }

  #encode(message: Message): Uint8Array {
    const { output } = this.#method;
    return toBinary(output, message.$typeName === output.typeName ? message : create(output, message as never));
  }

  #messages(): AsyncIterable<Message> {
    const { input } = this.#method;
    const source = this.#requests;
    return {
      [Symbol.asyncIterator]: () => ({
        async next() {
          const bytes = await source.next();
          return bytes === undefined ? END : { done: false, value: parse(input, bytes) };
        },
        return() {
          source.fail(undefined);
          return Promise.resolve(END);
        },
      }),
    };
  }

  async #drain(): Promise<void> {
    if (this.#stream.destroyed) return;
    this.#drained = Promise.withResolvers<void>();
    await this.#drained.promise;
  }

  #end(failure: ConnectError | undefined): void {
    const stream = this.#stream;
    if (stream.destroyed) return;
    stream.once('wantTrailers', () => {
      stream.sendTrailers(
        failure === undefined
          ? { ...Object.fromEntries(this.responseTrailer), 'grpc-status': '0' }
          : Object.fromEntries(setTrailerStatus(new Headers(this.responseTrailer), failure)),
      );
      // As `resetAfterTrailers` does: stock clients never end their half.
      setImmediate(() => {
        if (!stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
      });
    });
    stream.end();
  }
}

function parse(schema: DescMessage, bytes: Uint8Array): Message {
  try {
    return fromBinary(schema, bytes);
  } catch (error) {
    throw new ConnectError(
      `${schema.typeName}: not in the wire format`,
      Code.InvalidArgument,
      undefined,
      undefined,
      error,
    );
  }
}

function toHeaders(from: IncomingHttpHeaders): Headers {
  const headers = new Headers();
  for (const name in from) {
    const value = from[name];
    if (name.startsWith(':') || value === undefined) continue;
    headers.set(name, typeof value === 'string' ? value : value.join(', '));
  }
  return headers;
}

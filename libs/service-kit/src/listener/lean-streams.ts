import type { ServerHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { constants } from 'node:http2';
import type { DescMessage, DescMethod, Message } from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import type { ContextValues } from '@connectrpc/connect';
import { Code, ConnectError, createContextValues } from '@connectrpc/connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import { context } from '@opentelemetry/api';
import type { Context } from '@opentelemetry/api';
import type { BeginCall, Call } from '../rpc/interceptors.ts';
import type { MessageCall, MessageHandler, MessageStream } from '../rpc/message-stream.ts';
import { FRAME_PREFIX_BYTES, grpcFrame, messageStreamOf } from '../rpc/message-stream.ts';
import { GrpcMessages } from './grpc-messages.ts';

/** Messages that may wait for their turn before no more are read. */
const MAX_WAITING = 64;
/** Of one call whose caller does not read. */
const MAX_UNSENT_BYTES = 4 * 2 ** 20;
const DONE = { 'grpc-status': '0' };
/** Made once: an abort without a reason makes an error with a stack each time. */
const OVER = new Error('the call is over');

export interface LeanStreamsOptions {
  /** Begins what counts, traces and logs a call. */
  readonly begin: BeginCall;
  /** Checks messages of a type; throws what callers are told. */
  readonly guardOf: (type: DescMessage) => ((message: Message) => void) | undefined;
  /** Ends all calls when it is aborted. */
  readonly shutdown: AbortSignal;
  /** Values that handlers find in the context of a call on this stream. */
  readonly valuesOf: (stream: ServerHttp2Stream) => ContextValues | undefined;
}

interface Registered {
  readonly method: DescMethod;
  readonly stream: MessageStream<unknown>;
  readonly guard: ((message: Message) => void) | undefined;
  readonly maxBytes: number | undefined;
}

/**
 * gRPC calls straight on Node's HTTP/2 streams: of methods that are implemented in terms of messages (`messageStream`) or bytes
 * (`encodedAnswer`), when they are called in plain gRPC. Everything else is left to Connect, and so are interceptors: these calls are
 * counted, traced and checked here. Headers go out at once and `grpc-timeout` is not heeded: see `openEarly`.
 */
export class LeanStreams {
  readonly #options: LeanStreamsOptions;
  readonly #methods = new Map<string, Registered>();
  readonly #calls = new Set<LeanCall>();

  constructor(options: LeanStreamsOptions) {
    this.#options = options;
    options.shutdown.addEventListener(
      'abort',
      () => {
        for (const call of this.#calls) call.end(options.shutdown.reason);
      },
      { once: true },
    );
  }

  /** Calls under way. */
  get size(): number {
    return this.#calls.size;
  }

  /** Takes the method over, if it is implemented in terms of messages. */
  register(path: string, method: DescMethod, implementation: unknown, maxBytes: number | undefined): void {
    const stream = messageStreamOf(implementation);
    if (stream === undefined) return;
    this.#methods.set(path, { method, stream, maxBytes, guard: this.#options.guardOf(method.input) });
  }

  /** @returns whether the call is one of those; otherwise nothing was done to the stream */
  accept(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
    const registered = this.#methods.get(headers[':path'] ?? '');
    const type = headers['content-type'];
    if (registered === undefined || (type !== 'application/grpc' && type !== 'application/grpc+proto')) return false;
    if (headers[':method'] !== 'POST' || headers['grpc-encoding'] === 'gzip') return false;
    const { shutdown, valuesOf, begin } = this.#options;
    const call = new LeanCall(stream, registered, valuesOf(stream), this.#calls, (isOver) =>
      begin({ service: registered.method.parent, method: registered.method, header: readerOf(headers), isOver }),
    );
    stream.respond({ ':status': 200, 'content-type': type }, { waitForTrailers: true, endStream: false });
    call.start();
    if (shutdown.aborted) call.end(shutdown.reason);
    return true;
  }
}

/** One call. Owner of its stream. */
class LeanCall implements MessageCall {
  readonly values: ContextValues;
  readonly #stream: ServerHttp2Stream;
  readonly #registered: Registered;
  readonly #watch: Call;
  readonly #incoming: GrpcMessages;
  /** Those under way, which it leaves when its stream is closed. */
  readonly #calls: Set<LeanCall>;
  #handler: MessageHandler<unknown> | undefined;
  /** Messages that came while the handler was busy with an earlier one. */
  #waiting: Buffer[] | undefined;
  #isBusy = false;
  #hasEnded = false;
  #isOver = false;
  #controller: AbortController | undefined;

  constructor(
    stream: ServerHttp2Stream,
    registered: Registered,
    values: ContextValues | undefined,
    calls: Set<LeanCall>,
    begin: (isOver: () => boolean) => Call,
  ) {
    this.#stream = stream;
    this.#registered = registered;
    this.values = values ?? createContextValues();
    this.#incoming = new GrpcMessages(registered.maxBytes);
    this.#watch = begin(() => stream.destroyed);
    this.#calls = calls;
    calls.add(this);
  }

  get trace(): Context | undefined {
    return this.#watch.active;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#isOver) this.#controller.abort(OVER);
    return this.#controller.signal;
  }

  start(): void {
    const stream = this.#stream;
    stream.on('error', ignore); // told by the close that follows
    stream.once('close', () => {
      this.#calls.delete(this);
      if (!this.#isOver) this.#finish(new ConnectError('the caller has gone', Code.Canceled));
      letGo(stream);
    });
    this.#guarded(() => {
      this.#handler = this.#registered.stream.open(this);
    });
    if (this.#handler?.drained !== undefined) stream.on('drain', () => this.#guarded(() => this.#handler?.drained?.()));
    stream.on('data', (chunk: Buffer) => {
      if (!this.#isOver) this.#guarded(() => this.#incoming.push(chunk, (bytes) => this.#take(bytes)));
    });
    stream.once('end', () =>
      this.#guarded(() => {
        this.#incoming.end();
        this.#hasEnded = true;
        if (!this.#isBusy) this.#handler?.ended();
      }),
    );
  }

  send(message: Uint8Array): boolean {
    return this.sendFrames(grpcFrame(message));
  }

  sendFrames(frames: Buffer): boolean {
    const stream = this.#stream;
    if (this.#isOver || stream.destroyed) return false;
    for (let at = 0; at < frames.length; at += FRAME_PREFIX_BYTES + frames.readUInt32BE(at + 1))
      this.#watch.responseMessage();
    if (stream.write(frames)) return true;
    if (stream.writableLength > MAX_UNSENT_BYTES)
      this.end(new ConnectError('answers are not read', Code.ResourceExhausted));
    return false;
  }

  end(error?: unknown): void {
    this.#end(error);
  }

  answer(frame: Buffer): void {
    if (this.#isOver) return;
    this.#watch.responseMessage();
    this.#end(undefined, frame);
  }

  #end(error: unknown, frame?: Buffer): void {
    if (this.#isOver) return;
    const told = this.#finish(error);
    const stream = this.#stream;
    if (stream.destroyed) return;
    stream.once('wantTrailers', () => {
      stream.sendTrailers(told === undefined ? DONE : Object.fromEntries(setTrailerStatus(new Headers(), told)));
      // As `resetAfterTrailers` does: stock clients never end their half of a stream. The stream of a caller who has is over.
      setImmediate(() => {
        if (!stream.destroyed && !stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
      });
    });
    if (frame === undefined) stream.end();
    else stream.end(frame);
  }

  /** @returns what the caller is to be told */
  #finish(error: unknown): ConnectError | undefined {
    if (this.#isOver) return undefined;
    this.#isOver = true;
    this.#waiting = undefined;
    const told = error === undefined ? undefined : ConnectError.from(this.#watch.fail(error));
    if (error === undefined) this.#watch.end();
    this.#controller?.abort(error ?? OVER);
    if (!this.#stream.destroyed) this.#stream.resume(); // what still comes is dropped
    // Whoever ended the call may be in the midst of something that the handler is part of.
    queueMicrotask(() => this.#handler?.closed(error));
    return told;
  }

  #take(bytes: Buffer): void {
    if (this.#isOver) return;
    if (!this.#isBusy) return this.#handle(bytes);
    (this.#waiting ??= []).push(bytes);
    if (this.#waiting.length >= MAX_WAITING) this.#stream.pause();
  }

  #handle(bytes: Buffer): void {
    const { method, guard, stream } = this.#registered;
    const message = stream.parse?.(bytes) ?? parse(method.input, bytes);
    this.#watch.requestMessage();
    guard?.(message as Message);
    const active = this.#watch.active;
    const handled =
      active === undefined
        ? this.#handler?.message(message)
        : context.with(active, () => this.#handler?.message(message));
    if (handled === undefined) return;
    this.#isBusy = true;
    handled.then(
      () => this.#guarded(() => this.#next()),
      (error: unknown) => this.end(error),
    );
  }

  #next(): void {
    this.#isBusy = false;
    while (!this.#isBusy && !this.#isOver) {
      const bytes = this.#waiting?.shift();
      if (bytes === undefined) break;
      this.#handle(bytes);
    }
    if (this.#isOver || this.#isBusy) return;
    if (this.#stream.isPaused()) this.#stream.resume();
    if (this.#hasEnded) this.#handler?.ended();
  }

  #guarded(run: () => void): void {
    if (this.#isOver) return;
    try {
      run();
    } catch (error) {
      this.end(error);
    }
  }
}

const ignore = (): void => undefined;

/**
 * Node's streams outlive young generations: only a collection of everything frees one, and what it refers to. Three fifths of the garbage of a
 * call hung on the listeners.
 */
function letGo(stream: ServerHttp2Stream): void {
  stream.removeAllListeners();
  stream.on('error', ignore);
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

const readerOf = (headers: IncomingHttpHeaders): { get(name: string): string | null } => ({
  get: (name) => {
    const value = headers[name];
    return typeof value === 'string' ? value : null;
  },
});

import { context } from '@opentelemetry/api';
import type { Context } from '@opentelemetry/api';
import type { DescMessage, DescMethodBiDiStreaming, DescMethodUnary, MessageShape } from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import type { ContextValues, HandlerContext, MethodImpl } from '@connectrpc/connect';
import { Code, ConnectError } from '@connectrpc/connect';
import { AsyncQueue } from '../async/async-queue.ts';
import { untilAborted } from '../async/until-aborted.ts';

/** The server's end of a call with streams in both directions. */
export interface MessageCall {
  /** What is known of the connection. */
  readonly values: ContextValues;
  /** With the span of the call; undefined with tracing off. */
  readonly trace: Context | undefined;
  /** Aborted when the call is over. Made when it is asked for. */
  readonly signal: AbortSignal;
  /**
   * Sends one encoded message; dropped when the call is over. A caller that does not read loses the call.
   * @returns whether more may be sent: if not, `drained` tells when
   */
  send(message: Uint8Array): boolean;
  /** The same for several messages at once, each as `grpcFrame` makes it, one after the other. */
  sendFrames(frames: Buffer): boolean;
  /** Ends the call after what was sent: with an error, or well. */
  end(error?: unknown): void;
  /** Sends the only answer, as `grpcFrame` makes it, and ends the call. */
  answer(frame: Buffer): void;
}

/** Takes what comes in one call. Methods that throw end it. */
export interface MessageHandler<I> {
  /** The next one comes after the promise, where there is one. */
  message(message: I): Promise<void> | undefined;
  /** The caller says no more. */
  ended(): void;
  drained?(): void;
  /** The call is over. @param error unless it ended well */
  closed(error: unknown): void;
}

/** How a method is served. */
export interface MessageStream<I> {
  open(call: MessageCall): MessageHandler<I>;
  /** Reads messages of the usual kinds faster than others are read. @returns undefined for the others */
  readonly parse?: ((bytes: Buffer) => I | undefined) | undefined;
}

export type OpenMessageStream<I> = MessageStream<I>['open'];

const STREAM = Symbol('serves a message stream');
const MAX_UNSENT = 256;
const FEW_UNSENT = 16;
/** Whether it is compressed, and its length. */
export const FRAME_PREFIX_BYTES = 5;

/**
 * Implementation of a method in terms of messages, without iterables and promises between them and the wire: the listener runs it
 * straight on its streams. Connect, where it comes by something else than plain gRPC, sees a generator.
 */
export function messageStream<I extends DescMessage, O extends DescMessage>(
  method: DescMethodBiDiStreaming<I, O>,
  open: OpenMessageStream<MessageShape<I>>,
  parse?: (bytes: Buffer) => MessageShape<I> | undefined,
): MethodImpl<DescMethodBiDiStreaming<I, O>> {
  const implementation = async function* (requests: AsyncIterable<MessageShape<I>>, call: HandlerContext) {
    const unsent = new AsyncQueue<Uint8Array>(MAX_UNSENT);
    let failure: unknown;
    const end = (error?: unknown): void => {
      failure ??= error;
      if (error === undefined) unsent.close();
      else unsent.fail(error);
    };
    const send = (message: Uint8Array): boolean => {
      try {
        unsent.push(message);
      } catch (error) {
        end(error);
      }
      return unsent.size < FEW_UNSENT;
    };
    const handler = open({
      ...{ values: call.values, trace: context.active(), signal: call.signal, end, send },
      answer: (frame) => {
        unsent.push(frame.subarray(FRAME_PREFIX_BYTES));
        end();
      },
      sendFrames: (frames) => {
        for (const message of messagesIn(frames)) send(message);
        return unsent.size < FEW_UNSENT;
      },
    });
    const read = async (): Promise<void> => {
      try {
        for await (const request of untilAborted(requests, call.signal)) {
          await handler.message(request);
          if (unsent.isClosed) return;
        }
        handler.ended();
      } catch (error) {
        end(error);
      }
    };
    void read();
    try {
      for await (const message of untilAborted(unsent, call.signal)) {
        yield fromBinary(method.output, message);
        if (unsent.size === FEW_UNSENT - 1) handler.drained?.();
      }
      // Cut off is not ended: a caller that is told so tries elsewhere.
      call.signal.throwIfAborted();
    } catch (error) {
      failure ??= error;
      throw error;
    } finally {
      end();
      handler.closed(failure);
    }
  };
  return Object.assign(implementation, { [STREAM]: { open, parse } });
}

/** A message of gRPC, uncompressed, with its length before it. */
export function grpcFrame(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_PREFIX_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, FRAME_PREFIX_BYTES);
  return frame;
}

/** Cuts frames that `grpcFrame` made, one after the other, into their messages. */
export function* messagesIn(frames: Buffer): Generator<Buffer> {
  for (let at = 0; at < frames.length;) {
    const start = at + FRAME_PREFIX_BYTES;
    at = start + frames.readUInt32BE(at + 1);
    yield frames.subarray(start, at);
  }
}

/**
 * Implementation of a method with one request and one answer that is there already, encoded: the listener sends the very bytes, which many
 * calls may share. Connect, where a call comes by something else than plain gRPC, sees a message.
 * @param answer returns what `grpcFrame` made; throws what callers are told
 */
export function encodedAnswer<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  answer: (request: MessageShape<I>, values: ContextValues) => Buffer,
): MethodImpl<DescMethodUnary<I, O>> {
  const implementation = (request: MessageShape<I>, call: HandlerContext) =>
    fromBinary(method.output, answer(request, call.values).subarray(FRAME_PREFIX_BYTES));
  const open: OpenMessageStream<MessageShape<I>> = (call) => ({
    message(request) {
      call.answer(answer(request, call.values));
      return undefined;
    },
    ended: () => call.end(new ConnectError('the call has no request', Code.InvalidArgument)),
    closed: () => undefined,
  });
  return Object.assign(implementation, { [STREAM]: { open } });
}

/** How the method is served, if it is implemented in terms of messages. */
export const messageStreamOf = (implementation: unknown): MessageStream<unknown> | undefined =>
  (implementation as { readonly [STREAM]?: MessageStream<unknown> })[STREAM];

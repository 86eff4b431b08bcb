import type { DescMethod } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import type { ConnectError, Interceptor, StreamRequest, UnaryRequest } from '@connectrpc/connect';
import { context, SpanKind, trace } from '@opentelemetry/api';
import type { Context, Span } from '@opentelemetry/api';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import { contextFromTraceparent, failSpan, traceparentOf } from '../observe/span.ts';
import type { Telemetry } from '../observe/telemetry.ts';
import { createCallMetrics } from './call-metrics.ts';
import type { MethodMetrics } from './call-metrics.ts';
import { RPC_CODES, toConnectError } from './error-codes.ts';

export interface ServerInterceptorOptions {
  readonly logger: Logger;
  readonly telemetry?: Telemetry | undefined;
  readonly metrics?: Metrics | undefined;
  /** Codes of DfErrors beside those of `RPC_CODES`. */
  readonly codes?: Readonly<Record<string, Code>>;
}

export interface ClientInterceptorOptions {
  readonly telemetry?: Telemetry | undefined;
  readonly metrics?: Metrics | undefined;
}

type AnyRequest = UnaryRequest | StreamRequest;

/** What is to be known of a call when it begins. */
export interface CallFacts {
  readonly service: { readonly typeName: string };
  readonly method: Pick<DescMethod, 'name' | 'methodKind'>;
  readonly header: { get(name: string): string | null };
  /** The caller has gone: whatever fails then is nobody's fault. */
  readonly isOver: () => boolean;
}

export type BeginCall = (facts: CallFacts) => Call;

/** Everything every call of a server gets: errors mapped to codes, a span below the caller's, counters, a line at debug. */
export const createServerInterceptors = (options: ServerInterceptorOptions): Interceptor[] => [
  serverInterceptor(createServerCalls(options)),
];

/** The same for calls through Connect, by what begins calls of any kind. */
export const serverInterceptor = (begin: BeginCall): Interceptor =>
  callInterceptor(({ service, method, header, signal }) =>
    begin({ service, method, header, isOver: () => signal.aborted }),
  );

export function createServerCalls(options: ServerInterceptorOptions): BeginCall {
  const { logger, telemetry } = options;
  const codes = { ...RPC_CODES, ...options.codes };
  const metricsOf = options.metrics && createCallMetrics(options.metrics.registry, 'server');
  return (facts) => {
    const parent = telemetry?.enabled
      ? (contextFromTraceparent(facts.header.get('traceparent'), facts.header.get('tracestate')) ?? context.active())
      : undefined;
    return new Call(facts, parent, telemetry, SpanKind.SERVER, metricsOf, (call, error) => {
      const mapped = error === undefined ? undefined : toConnectError(error, codes);
      if (mapped?.code === Code.Internal && !facts.isOver())
        logger.error({ err: error, rpc: call.name }, `rpc ${call.name} failed`);
      if (logger.isLevelEnabled('debug'))
        logger.debug(
          { rpc: call.name, code: mapped === undefined ? 'OK' : Code[mapped.code], tookMs: call.tookMs },
          'rpc',
        );
      return mapped;
    });
  };
}

/** What calls of a client get: a span, whose context travels with the call, and counters. None when both are off. */
export function createClientInterceptors({ telemetry, metrics }: ClientInterceptorOptions): Interceptor[] {
  if (!telemetry?.enabled && metrics === undefined) return [];
  const metricsOf = metrics && createCallMetrics(metrics.registry, 'client');
  const begin = (request: AnyRequest): Call => {
    const call = new Call(request, context.active(), telemetry, SpanKind.CLIENT, metricsOf, (_call, error) =>
      error === undefined ? undefined : toConnectError(error),
    );
    const traceparent = call.active && traceparentOf(call.active);
    if (traceparent !== undefined) {
      request.header.set('traceparent', traceparent);
      const tracestate = trace.getSpanContext(call.active ?? context.active())?.traceState?.serialize();
      if (tracestate) request.header.set('tracestate', tracestate);
    }
    return call;
  };
  return [callInterceptor(begin)];
}

function callInterceptor(begin: (request: AnyRequest) => Call): Interceptor {
  return (next) => async (request) => {
    const call = begin(request);
    try {
      if (!request.stream) {
        call.requestMessage();
        const response = await call.run(() => next(request));
        if (!response.stream) {
          call.responseMessage();
          call.end();
          return response;
        }
        return { ...response, message: call.watch(response.message) };
      }
      const counted = { ...request, message: call.count(request.message) } as StreamRequest;
      const response = await call.run(() => next(counted));
      if (response.stream) return { ...response, message: call.watch(response.message) };
      call.end();
      return response;
    } catch (error) {
      throw call.fail(error);
    }
  };
}

/** One RPC from its first to its last message; ends exactly once. */
export class Call {
  readonly name: string;
  /** The context with the span of this call; undefined with tracing off. */
  readonly active: Context | undefined;
  readonly #startedMs = performance.now();
  readonly #isServer: boolean;
  readonly #span: Span | undefined;
  readonly #metrics: MethodMetrics | undefined;
  readonly #ended: (call: Call, error: unknown) => ConnectError | undefined;
  #isOver = false;

  constructor(
    { service: { typeName }, method }: Pick<CallFacts, 'service' | 'method'>,
    parent: Context | undefined,
    telemetry: Telemetry | undefined,
    kind: SpanKind,
    metricsOf: ReturnType<typeof createCallMetrics> | undefined,
    ended: (call: Call, error: unknown) => ConnectError | undefined,
  ) {
    this.name = `${typeName}/${method.name}`;
    this.#isServer = kind === SpanKind.SERVER;
    this.#ended = ended;
    if (telemetry?.enabled && parent !== undefined) {
      const attributes = { 'rpc.system': 'grpc', 'rpc.service': typeName, 'rpc.method': method.name };
      this.#span = telemetry.tracer.startSpan(`rpc ${this.name}`, { kind, attributes }, parent);
      this.active = trace.setSpan(parent, this.#span);
    }
    this.#metrics = metricsOf?.(typeName, method.name, method.methodKind);
    this.#metrics?.started();
  }

  get tookMs(): number {
    return Math.round((performance.now() - this.#startedMs) * 1000) / 1000;
  }

  run<T>(fn: () => Promise<T>): Promise<T> {
    return this.active === undefined ? fn() : context.with(this.active, fn);
  }

  requestMessage(): void {
    if (this.#isServer) this.#metrics?.received();
    else this.#metrics?.sent();
  }

  responseMessage(): void {
    if (this.#isServer) this.#metrics?.sent();
    else this.#metrics?.received();
  }

  /** The messages of the request, counted. */
  count<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
    if (this.#metrics === undefined) return messages;
    return this.#wrap(messages, { message: () => this.requestMessage() });
  }

  /** The messages of the response, produced in the context of this call; the call ends with them. */
  watch<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
    return this.#wrap(messages, {
      message: () => this.responseMessage(),
      done: () => this.end(),
      failed: (error) => this.fail(error),
      left: () => void this.fail(new DOMException('the reader left', 'AbortError')),
    });
  }

  end(): void {
    this.#finish(undefined);
  }

  /** Ends the call as failed; returns what to throw instead. */
  fail(error: unknown): unknown {
    return this.#finish(error ?? new Error('rejected without a reason')) ?? error;
  }

  #finish(error: unknown): ConnectError | undefined {
    if (this.#isOver) return error === undefined ? undefined : toConnectError(error);
    this.#isOver = true;
    const mapped = this.#ended(this, error);
    this.#metrics?.handled(mapped?.code);
    if (this.#span !== undefined) {
      if (mapped !== undefined) {
        this.#span.setAttribute('rpc.grpc.status_code', mapped.code);
        // Whoever calls may have enough: that is no failure of anybody.
        if (mapped.code !== Code.Canceled) failSpan(this.#span, error);
      }
      this.#span.end();
    }
    return mapped;
  }

  #wrap<T>(
    source: AsyncIterable<T>,
    on: { message: () => void; done?: () => void; failed?: (error: unknown) => unknown; left?: () => void },
  ): AsyncIterable<T> {
    return {
      [Symbol.asyncIterator]: () => {
        const iterator = source[Symbol.asyncIterator]();
        const step = async (result: () => Promise<IteratorResult<T>>) => {
          try {
            const next = await this.run(result);
            if (next.done === true) on.done?.();
            else on.message();
            return next;
          } catch (error) {
            throw on.failed === undefined ? error : on.failed(error);
          }
        };
        const wrapped: AsyncIterator<T> = { next: () => step(() => iterator.next()) };
        // Only what the source offers: its absence means something to the caller.
        if (iterator.return !== undefined)
          wrapped.return = (value?: unknown) => {
            on.left?.();
            return this.run(() => iterator.return?.(value) ?? Promise.resolve({ done: true, value }));
          };
        if (iterator.throw !== undefined)
          wrapped.throw = (reason: Error) => step(() => iterator.throw?.(reason) ?? Promise.reject(reason));
        return wrapped;
      },
    };
  }
}

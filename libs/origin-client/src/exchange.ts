import type { Span, Tracer } from '@opentelemetry/api';
import { SpanKind } from '@opentelemetry/api';
import { failSpan } from '@d7y/service-kit';
import type { Dispatcher } from 'undici';
import type { ProgressFloorOptions } from './progress-floor.ts';
import type { ReadBuffers } from './read-buffers.ts';
import { ResponseBody } from './response-body.ts';

/** One answer to one request: its header is here, its body under way. Somebody must read, discard or abort the body. */
export interface Exchange {
  /** Where the answer came from. */
  readonly url: URL;
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: ResponseBody;
}

export interface ExchangeOptions {
  readonly dispatcher: Dispatcher;
  readonly tracer: Tracer;
  readonly floor: ProgressFloorOptions;
  /** What the dispatcher's connections read into. */
  readonly readBuffers: ReadBuffers;
  /** From the request to the end of the answer's header. */
  readonly headerTimeoutMs: number;
}

export interface ExchangeRequest {
  readonly method: 'GET' | 'HEAD';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Sends one request and resolves with the header of its answer. It has a span of its own, which ends with the body.
 * @throws whatever undici reports; the signal's reason
 */
export function exchange(
  { method, url, headers }: ExchangeRequest,
  { dispatcher, tracer, floor, readBuffers, headerTimeoutMs }: ExchangeOptions,
  { signal }: { signal: AbortSignal },
): Promise<Exchange> {
  signal.throwIfAborted();
  const span = tracer.startSpan(`origin ${method}`, {
    kind: SpanKind.CLIENT,
    attributes: {
      'http.request.method': method,
      'server.address': url.hostname,
      'server.port': Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
      'url.path': url.pathname,
    },
  });
  const { promise, resolve, reject } = Promise.withResolvers<Exchange>();
  let controller: Dispatcher.DispatchController | undefined;
  let body: ResponseBody | undefined;
  let isOver = false;
  const end = (bytes: number, error: Error | undefined) => {
    isOver = true;
    signal.removeEventListener('abort', onAbort);
    endSpan(span, bytes, error);
  };
  const fail = (error: Error) => {
    if (isOver) return;
    if (body !== undefined) {
      body.finish(error);
      return;
    }
    end(0, error);
    reject(error);
  };
  const onAbort = () => {
    const reason = asError(signal.reason);
    // In the queue, or connecting, nothing can be stopped yet; then it is stopped as it begins.
    if (controller !== undefined) controller.abort(reason);
    fail(reason);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  dispatcher.dispatch(
    {
      origin: url.origin,
      path: url.pathname + url.search,
      method,
      headers,
      headersTimeout: headerTimeoutMs,
      bodyTimeout: 0, // the floor is stricter
    },
    {
      onRequestStart: (started) => {
        controller = started;
        if (signal.aborted) started.abort(asError(signal.reason));
      },
      onResponseStart: (started, status, responseHeaders) => {
        if (status < 200) return;
        span.setAttribute('http.response.status_code', status);
        body = new ResponseBody(started, { floor, readBuffers }, end);
        resolve({ url, status, headers: responseHeaders, body });
      },
      onResponseData: (_controller, chunk) => body?.push(chunk),
      onResponseEnd: () => body?.finish(undefined),
      onResponseError: (_controller, error) => fail(error),
    },
  );
  return promise;
}

function endSpan(span: Span, bytes: number, error: Error | undefined): void {
  span.setAttribute('http.response.body.size', bytes);
  if (error !== undefined) failSpan(span, error);
  span.end();
}

/** Undici wants an Error to abort with. */
function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('aborted', { cause: reason });
}

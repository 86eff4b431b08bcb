import type { IncomingMessage } from 'node:http';
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Span } from '@opentelemetry/api';
import type { HttpHandler, Metrics, Telemetry } from '@d7y/service-kit';
import { contextFromTraceparent, safeUrl } from '@d7y/service-kit';
import { Counter, Histogram, type Registry, Summary } from 'prom-client';

/** Seconds. The last finite one is the limit of a handler. */
const BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export interface RequestObserver {
  /** Runs the handler in a span below the caller's. */
  readonly traced: (handler: HttpHandler) => HttpHandler;
  ended(request: IncomingMessage, outcome: RequestOutcome): void;
}

/** Of a request that is answered. */
export interface RequestOutcome {
  readonly method: string;
  /** Path with parameters, so that there are few of them; empty for none of ours. */
  readonly route: string;
  readonly status: number;
  readonly tookMs: number;
  /** Of the bodies, as far as their headers tell. */
  readonly requestBytes: number;
  readonly answerBytes: number;
}

/** A span and metrics for each request. */
export function createRequestObserver(telemetry: Telemetry, metrics: Metrics): RequestObserver {
  const registers = [metrics.registry];
  const requests = new Counter({
    name: 'dragonfly_manager_requests_total',
    help: 'Requests answered, by method, route and status.',
    labelNames: ['method', 'route', 'code'],
    registers,
  });
  const durations = new Histogram({
    name: 'dragonfly_manager_request_duration_seconds',
    help: 'Time until the answer was sent, by method and route.',
    labelNames: ['method', 'route'],
    buckets: BUCKETS,
    registers,
  });
  const published = publishedMetrics(registers);
  const spans = new WeakMap<IncomingMessage, Span>();
  return {
    traced: (handler) => {
      if (!telemetry.enabled) return handler;
      return (request, response) => {
        const { traceparent, tracestate } = request.headers;
        const parent = contextFromTraceparent(oneOf(traceparent), oneOf(tracestate)) ?? context.active();
        const url = safeUrl(request.url ?? '/');
        const span = telemetry.tracer.startSpan(
          `${request.method ?? 'GET'} ${url.split('?', 1)[0] ?? ''}`,
          {
            kind: SpanKind.SERVER,
            attributes: {
              'http.request.method': request.method ?? '',
              'url.path': url.split('?', 1)[0] ?? '',
              'http.url': url,
            },
          },
          parent,
        );
        spans.set(request, span);
        response.once('close', () => span.end());
        return context.with(trace.setSpan(parent, span), () => handler(request, response));
      };
    },
    ended(request, outcome) {
      const { method, route, status, tookMs } = outcome;
      const labels = { method, route: route === '' ? 'unknown' : route };
      requests.inc({ ...labels, code: String(status) });
      durations.observe(labels, tookMs / 1000);
      published(labels.route, outcome);
      const span = spans.get(request);
      if (span === undefined) return;
      if (route !== '') span.updateName(`${method} ${route}`);
      span.setAttributes({ 'http.route': route, 'http.response.status_code': status });
      if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
    },
  };
}

/** Under the names that stock managers give them; `url` is the route, and `host`, which callers choose, is not told. */
function publishedMetrics(registers: Registry[]): (url: string, outcome: RequestOutcome) => void {
  const requests = new Counter({
    name: 'manager_requests_total',
    help: 'As dragonfly_manager_requests_total.',
    labelNames: ['code', 'method', 'handler', 'host', 'url'],
    registers,
  });
  const durations = new Histogram({
    name: 'manager_request_duration_seconds',
    help: 'As dragonfly_manager_request_duration_seconds, by status.',
    labelNames: ['code', 'method', 'url'],
    buckets: BUCKETS,
    registers,
  });
  const summary = (of: 'request' | 'response') =>
    new Summary({
      name: `manager_${of}_size_bytes`,
      help: `Bytes of the body of a ${of}.`,
      percentiles: [],
      registers,
    });
  const [asked, answered] = [summary('request'), summary('response')];
  return (url, { method, status, tookMs, requestBytes, answerBytes }) => {
    const labels = { code: String(status), method, url };
    requests.inc({ ...labels, handler: url, host: '' });
    durations.observe(labels, tookMs / 1000);
    asked.observe(requestBytes);
    answered.observe(answerBytes);
  };
}

const oneOf = (header: string | readonly string[] | undefined): string | undefined =>
  typeof header === 'string' ? header : header?.[0];

import type { IncomingMessage } from 'node:http';
import type { TaskTraffic } from '@d7y/peer-engine';
import { DEFAULT_FILTERED_QUERY_PARAMS } from '@d7y/piece';
import { contextFromTraceparent } from '@d7y/service-kit';
import { context, type Context, type Span, SpanKind, SpanStatusCode, trace, type Tracer } from '@opentelemetry/api';
import type { ProxyMetrics, ServedFrom } from './metrics.ts';
import type { ProxyMode } from './target.ts';

/** The part of a structured logger that the proxy uses. */
export interface ProxyLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

const SIGNING = new Set(DEFAULT_FILTERED_QUERY_PARAMS.filter((name) => name !== 'ns'));
/** Status in the log of a request whose client left before an answer. */
const CLIENT_GONE = 499;

/** A target as received, but for the values of parameters that sign a URL, and for a user in its authority. */
export function loggableTarget(target: string): string {
  const [received = '', ...rest] = target.split('?');
  const path = received.replace(/^([a-z][a-z0-9+.-]*:\/\/|(?!\/))[^/]*@/i, '$1***@');
  if (rest.length === 0) return path;
  const pairs = rest.join('?').split('&');
  return `${path}?${pairs.map((pair) => (isSigning(pair) ? `${pair.split('=', 1)[0] ?? ''}=***` : pair)).join('&')}`;
}

function isSigning(pair: string): boolean {
  const [name] = new URLSearchParams(pair).keys();
  return name !== undefined && (SIGNING.has(name) || /token|secret|signature|passw|credential/i.test(name));
}

/** Tells of one request: a span from its first to its last byte, one log line, and the counters. */
export class RequestLog {
  readonly span: Span;
  /** Carries the span: what runs within it becomes part of the same trace. */
  readonly context: Context;
  readonly #logger: ProxyLogger;
  readonly #metrics: ProxyMetrics;
  readonly #startedAt = performance.now();
  readonly #target: string;
  readonly #method: string;
  #from: ServedFrom = 'direct';
  #why = '';
  #found = '';
  #mode: ProxyMode | 'connect' | undefined;
  #taskId: string | undefined;
  #traffic: TaskTraffic | undefined;

  constructor(request: IncomingMessage, tracer: Tracer, logger: ProxyLogger, metrics: ProxyMetrics) {
    this.#logger = logger;
    this.#metrics = metrics;
    this.#target = loggableTarget(request.url ?? '/');
    this.#method = request.method ?? 'GET';
    const { traceparent, tracestate } = request.headers;
    // A client that traces itself has this request in its own trace.
    const parent = contextFromTraceparent(textOf(traceparent), textOf(tracestate)) ?? context.active();
    const attributes = {
      'http.url': this.#target,
      'http.method': this.#method,
      'http.user_agent': request.headers['user-agent'] ?? '',
    };
    this.span = tracer.startSpan('http_handler', { kind: SpanKind.SERVER, attributes }, parent);
    this.context = trace.setSpan(parent, this.span);
    metrics.requestReceived();
  }

  mode(mode: ProxyMode | 'connect'): void {
    this.#mode = mode;
    this.span.setAttribute('d7y.proxy_mode', mode);
  }

  direct(why: string): void {
    this.#from = 'direct';
    this.#why = why;
  }

  /** Answered from memory. */
  known(why: string): void {
    this.#from = 'local';
    this.#why = why;
  }

  /** How it was found out what is asked for: a part of the reason. */
  found(how: string): void {
    this.#found = how;
  }

  task(taskId: string, fromCache: boolean): void {
    this.#taskId = taskId;
    this.#from = fromCache ? 'local' : 'source';
    this.#why = fromCache ? 'complete here' : 'no peer gave any of it';
    this.span.setAttribute('task_id', taskId);
  }

  traffic(traffic: TaskTraffic): void {
    this.#traffic = traffic;
    if (this.#from !== 'source') return;
    const { remotePeer, backToSource, localPeer, parents } = traffic;
    if (remotePeer > 0) {
      this.#from = 'remote';
      const from = parents === undefined ? 'peers' : parents === 1 ? '1 peer' : `${parents} peers`;
      this.#why = `pieces from ${from}${backToSource > 0 ? ', some from the origin' : ''}`;
    } else if (backToSource === 0 && localPeer > 0) {
      this.#from = 'local';
      this.#why = 'what is asked for is here';
    }
  }

  /**
   * Says the last word on the request.
   * @param outcome.status as sent; undefined when no answer was begun
   * @param outcome.error why the answer was an error of ours, or broke off
   */
  end(outcome: { status: number | undefined; bytes: number; error: unknown; clientLeft: boolean }): void {
    const { bytes, error } = outcome;
    const status = outcome.status ?? CLIENT_GONE;
    // A refusal is an answer; an error after a good status is a body that broke off.
    const failed = !outcome.clientLeft && (status >= 500 || (error !== undefined && status < 400));
    // Whatever was not even decided ended in an error.
    const why = [this.#found, this.#why].filter((part) => part !== '').join(', ') || 'not served';
    this.#metrics.bytesSent(bytes);
    if (failed) this.#metrics.requestFailed();
    this.span.setAttribute('http.status_code', status);
    this.span.setAttribute('http.response_content_length', bytes);
    this.span.setAttribute('d7y.served_from', this.#from);
    this.span.setAttribute('d7y.served_why', why);
    if (this.#traffic !== undefined) {
      this.span.setAttribute('d7y.bytes.back_to_source', this.#traffic.backToSource);
      this.span.setAttribute('d7y.bytes.remote_peer', this.#traffic.remotePeer);
      this.span.setAttribute('d7y.bytes.local_peer', this.#traffic.localPeer);
    }
    if (failed) this.span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error ?? `status ${status}`) });
    this.span.end();
    const fields = {
      request: `${this.#method} ${this.#target}`,
      ...(this.#mode === undefined ? {} : { mode: this.#mode }),
      status,
      from: this.#from,
      why,
      ...(this.#taskId === undefined ? {} : { taskId: this.#taskId }),
      bytes,
      ms: Math.round(performance.now() - this.#startedAt),
      ...(error === undefined ? {} : { error: messageOf(error) }),
    };
    if (failed) this.#logger.warn(fields, 'request failed');
    else this.#logger.info(fields, 'request');
  }
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined;
}

/** Messages of our errors carry no secrets: URLs in them are without their query. */
function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

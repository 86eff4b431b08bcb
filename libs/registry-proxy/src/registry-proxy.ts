import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type Origin,
  OriginStatusError,
  OriginUnreachableError,
  RangeNotSatisfiableError,
  type TaskOpener,
  type TaskRequest,
  type TaskStream,
} from '@d7y/peer-engine';
import { context, type Tracer } from '@opentelemetry/api';
import { AccessPolicy } from './access.ts';
import type { ProxyRule, RegistryProxyConfig } from './config.ts';
import { type ErrorType, ProxyRequestError, UpstreamUnreachableError } from './errors.ts';
import { deliverPastFullDisk } from './full-disk.ts';
import { endToEndHeaders } from './http-headers.ts';
import type { ProxyMetrics } from './metrics.ts';
import { PassThrough } from './pass-through.ts';
import { type ProxyLogger, RequestLog } from './request-log.ts';
import { type RoutedTask, routeOf } from './route.ts';
import { sendTask, taskAnswerOf } from './serve-task.ts';

/** How long the origin may take to say whether content is public, or a caller accepted. */
const ACCESS_PROBE_TIMEOUT_MS = 20_000;
/** Priority LEVEL3: this peer goes to the origin itself; no seed could. */
const PRIORITY_OF_PRIVATE = 3;

export interface RegistryProxyOptions {
  readonly engine: TaskOpener;
  /** Asked whether content is public, and whether it accepts a caller. */
  readonly origin: Origin;
  readonly config: RegistryProxyConfig;
  /** Shared with whoever else in this process decides for callers, so that the origin is asked once; an own one unless given. */
  readonly access?: AccessPolicy;
  /** The first that matches decides; what none matches passes straight through. */
  readonly rules: readonly ProxyRule[];
  readonly logger: ProxyLogger;
  readonly tracer: Tracer;
  readonly metrics: ProxyMetrics;
}

/** A registry mirror in front of the engine, as a request handler of node:http. */
export interface RegistryProxy extends AsyncDisposable {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
}

export function createRegistryProxy(options: RegistryProxyOptions): RegistryProxy {
  const handler = new RequestHandler(options);
  return {
    handle: (request, response) => void handler.handle(request, response),
    [Symbol.asyncDispose]: () => handler.passThrough[Symbol.asyncDispose](),
  };
}

/** A request under way. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly log: RequestLog;
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal;
  /** Body bytes sent so far. */
  sentBytes: number;
}

class RequestHandler {
  readonly passThrough: PassThrough;
  readonly #options: RegistryProxyOptions;
  readonly #access: AccessPolicy;

  constructor(options: RegistryProxyOptions) {
    const { origin, config } = options;
    this.#options = options;
    this.passThrough = new PassThrough(config);
    this.#access = options.access ?? new AccessPolicy({ ...config, origin, probeTimeoutMs: ACCESS_PROBE_TIMEOUT_MS });
  }

  /** Answers one request, whatever happens; never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { tracer, logger, metrics } = this.#options;
    const log = new RequestLog(request, tracer, logger, metrics);
    const gone = new AbortController();
    response.on('close', () => {
      if (!response.writableFinished) gone.abort(new Error('the client left'));
    });
    response.on('error', () => undefined); // a write to a client that left; 'close' follows and tells
    const exchange: Exchange = { request, response, log, signal: gone.signal, sentBytes: 0 };
    let failure: unknown;
    try {
      await context.with(log.context, () => this.#answer(exchange));
    } catch (error) {
      failure = error;
      if (response.headersSent) response.destroy();
      else if (!gone.signal.aborted) this.#refuse(exchange, error);
    }
    log.end({
      status: response.headersSent ? response.statusCode : undefined,
      bytes: exchange.sentBytes,
      error: failure,
      clientLeft: gone.signal.aborted,
    });
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { request, log } = exchange;
    const route = routeOf(request, this.#options.rules, this.#options.config);
    if (route.kind === 'direct') {
      log.direct(route.why);
      await this.#carry(exchange, route.upstream);
      return;
    }
    this.#options.metrics.requestViaDfdaemon();
    try {
      await this.#serve(exchange, route.task);
    } catch (error) {
      if (exchange.response.headersSent || !this.#mayPassThrough(error, exchange.signal)) throw error;
      // A pull must not fail because the swarm did: once more, without it.
      log.direct(`fallback: ${error instanceof Error ? error.message : String(error)}`);
      await this.#carry(exchange, new URL(route.task.url));
    }
  }

  async #carry(exchange: Exchange, upstream: URL): Promise<void> {
    const { request, response, signal } = exchange;
    const { bytes } = await this.passThrough.carry(request, response, upstream, { signal });
    exchange.sentBytes += bytes;
  }

  async #serve(exchange: Exchange, task: RoutedTask): Promise<void> {
    const { response, log, signal } = exchange;
    const { engine, origin, config } = this.#options;
    const access = await this.#access.decide(task.access, { signal });
    await using stream = await engine.open(this.#taskRequestOf(task, access), { signal });
    log.task(stream.taskId, stream.fromCache);
    try {
      await firstByteOf(stream, signal);
      const answer = taskAnswerOf(stream, { blobDigest: task.blobDigest, serverIp: config.serverIp });
      response.writeHead(answer.status, answer.headers);
      const { url, headers } = task.access;
      const rest = { url, headers, credentials: access.credentials };
      const onFull = (): void => log.direct('the disk is full: the rest comes from the origin');
      const body: Pick<TaskStream, 'deliver'> = config.disableBackToSource
        ? stream
        : { deliver: (write) => deliverPastFullDisk(stream, origin, rest, { signal, onFull }, write) };
      await sendTask(body, response, answer.bytes, (bytes) => (exchange.sentBytes += bytes), { signal });
    } finally {
      log.traffic(stream.traffic());
    }
  }

  #taskRequestOf(
    task: RoutedTask,
    access: { isPrivate: boolean; credentials: TaskRequest['credentials'] },
  ): TaskRequest {
    const { config } = this.#options;
    const { asked } = task;
    return {
      url: task.url,
      tag: asked.tag,
      application: asked.application,
      filteredQueryParams: task.filteredQueryParams,
      requestedPieceLength: asked.pieceLength,
      contentForCalculatingTaskId: asked.contentForCalculatingTaskId,
      enableTaskIdBasedBlobDigest: asked.enableTaskIdBasedBlobDigest ?? config.enableTaskIdBasedBlobDigest,
      priority: access.isPrivate ? PRIORITY_OF_PRIVATE : asked.priority,
      headers: task.access.headers,
      credentials: access.credentials,
      rangeHeader: task.rangeHeader,
      disableBackToSource: config.disableBackToSource,
      needBackToSource: false,
    };
  }

  /** What the origin refuses, it refuses without the swarm too; the rest is worth one plain try. */
  #mayPassThrough(error: unknown, signal: AbortSignal): boolean {
    if (signal.aborted || this.#options.config.disableBackToSource) return false;
    if (error instanceof OriginStatusError) return error.status >= 500;
    return !(error instanceof RangeNotSatisfiableError);
  }

  #refuse(exchange: Exchange, error: unknown): void {
    const { status, type, headers } = refusalOf(error);
    const message = error instanceof Error ? error.message : String(error);
    const body = `${JSON.stringify({ errors: [{ code: codeOf(error), message }] })}\n`;
    exchange.response.writeHead(status, {
      ...headers,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'x-dragonfly-error-type': type,
    });
    exchange.response.end(exchange.request.method === 'HEAD' ? undefined : body);
  }
}

/** Never waits longer than the client does; how long the engine may take is the engine's to bound. */
async function firstByteOf(stream: TaskStream, signal: AbortSignal): Promise<void> {
  const { promise: gone, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error('the client left'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    await Promise.race([stream.firstByte(), gone]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function refusalOf(error: unknown): { status: number; type: ErrorType; headers: ReturnType<typeof endToEndHeaders> } {
  if (error instanceof ProxyRequestError) return { status: error.status, type: 'proxy', headers: {} };
  if (error instanceof RangeNotSatisfiableError) {
    return { status: 416, type: 'proxy', headers: { 'content-range': `bytes */${error.contentLength}` } };
  }
  if (error instanceof OriginStatusError) {
    const headers = endToEndHeaders(error.headers);
    // They describe a body that is not passed on.
    for (const name of ['content-length', 'content-type', 'content-encoding', 'etag', 'content-range'])
      delete headers[name];
    return { status: error.status, type: 'backend', headers };
  }
  if (error instanceof UpstreamUnreachableError || error instanceof OriginUnreachableError) {
    return { status: 502, type: 'proxy', headers: {} };
  }
  return { status: 500, type: 'dfdaemon', headers: {} };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'INTERNAL';
}

import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { OriginStatusError, RangeNotSatisfiableError, type TaskStream } from '@d7y/peer-engine';
import { portOf, UpstreamGuard, UpstreamRefusedError } from '@d7y/service-kit';
import { context } from '@opentelemetry/api';
import { ProxyAuth } from './admission/proxy-auth.ts';
import { refuseLoop } from './admission/refuse-loop.ts';
import { RequestRate } from './admission/request-rate.ts';
import { blockedBy } from './block-lists.ts';
import { ProxyRequestError } from './errors.ts';
import { LeafCertificates } from './intercept/leaf-certificates.ts';
import { interceptionOf } from './intercept/interception.ts';
import { ConnectMode } from './modes/connect.ts';
import { type DragonflyHeaders, parseDragonflyHeaders } from './dragonfly-headers.ts';
import { explainRoute, type RouteExplanation } from './explain-route.ts';
import { deliverPastFullDisk } from './full-disk.ts';
import { RegistryLogin } from './login/registry-login.ts';
import { ManifestFront } from './manifests/manifest-front.ts';
import { type Carried, PassThrough } from './pass-through.ts';
import { type Deliverable, MultipartRanges } from './ranges/multipart.ts';
import { openRanged } from './ranges/open-ranged.ts';
import { refusalOf, sendRefusal } from './refusal.ts';
import { RegistryKnowledge } from './registry-knowledge.ts';
import type { RegistryProxyOptions } from './registry-proxy.ts';
import { RequestLog } from './request-log.ts';
import { type RoutedTask, routeOf } from './route.ts';
import { sendTask, taskAnswerOf } from './serve-task.ts';
import { targetOf } from './target.ts';
import { taskRequestOf } from './task-request.ts';
import { tunnelOf } from './modes/intercepted-sockets.ts';
import { rewriteForPrefix } from './modes/path-prefix.ts';
import { UpstreamAgents } from './upstream-agents.ts';

/** A request under way. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly log: RequestLog;
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal;
  /** Body bytes sent so far. */
  sentBytes: number;
  /** What the headers of an answer become, once it is known how the client reached its upstream. */
  rewrite?: Carried['rewrite'];
}

/** Answers the requests of all modes: admits them, finds out where they go, and brings what they ask for. */
export class RequestHandler implements AsyncDisposable {
  readonly connect: ConnectMode;
  readonly #passThrough: PassThrough;
  readonly #agents: UpstreamAgents;
  readonly #login: RegistryLogin;
  readonly #guard: UpstreamGuard;
  readonly #auth: ProxyAuth;
  readonly #rate: RequestRate;
  readonly #options: RegistryProxyOptions;
  readonly #knowledge: RegistryKnowledge;
  readonly #manifests: ManifestFront;

  constructor(options: RegistryProxyOptions) {
    const { engine, origin, config, tagDirectory: directory } = options;
    this.#options = options;
    this.#guard = options.guard ?? new UpstreamGuard();
    this.#auth = new ProxyAuth(options.credentials);
    this.#rate = new RequestRate(config.requestsPerSec);
    this.#agents = new UpstreamAgents(config.registries, this.#guard);
    this.#passThrough = new PassThrough(config, this.#agents);
    this.#login = new RegistryLogin(this.#agents, Date.now);
    this.connect = new ConnectMode({
      ...options,
      guard: this.#guard,
      auth: this.#auth,
      rate: this.#rate,
      interception: interceptionOf(config.intercept, options.rules),
      certificates: options.authority && new LeafCertificates(options.authority, Date.now),
      tunnelIdleTimeoutMs: config.tunnelIdleTimeoutMs,
    });
    const knowledge = options.knowledge ?? new RegistryKnowledge({ origin, config });
    this.#knowledge = knowledge;
    this.#manifests = new ManifestFront({ engine, origin, knowledge, directory, config });
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
      else if (!gone.signal.aborted) {
        const refusal = refusalOf(error);
        const headers = exchange.rewrite?.(refusal.status, refusal.headers) ?? refusal.headers;
        sendRefusal(request, response, { ...refusal, headers }, error);
      }
    }
    log.end({
      status: response.headersSent ? response.statusCode : undefined,
      bytes: exchange.sentBytes,
      error: failure,
      clientLeft: gone.signal.aborted,
    });
  }

  /** @see explainRoute */
  explain(url: string): RouteExplanation {
    return explainRoute(url, { ...this.#options, guard: this.#guard });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#agents[Symbol.asyncDispose]();
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { request, log } = exchange;
    const { rules, config, metrics } = this.#options;
    this.#rate.admit();
    const asked = parseDragonflyHeaders(request.headers);
    const tunnel = tunnelOf(request.socket);
    const target = targetOf(request, { registryHeader: asked.registry, tunnel }, config);
    log.mode(target.mode);
    const headers = this.#auth.admit(request.headers, target.mode);
    refuseLoop(target.upstream, request.socket);
    if (target.isNamed) this.#guard.checkNamed(target.upstream.hostname, portOf(target.upstream));
    if (config.dynamic && this.#login.serve(request, exchange.response, target, headers)) {
      log.direct('login to this proxy');
      return;
    }
    const { signal } = exchange;
    const caller = await this.#login.callerOf(request, target, headers, { signal });
    const { prefix, upstream } = target;
    exchange.rewrite = (status, answered) => {
      const placed = prefix === undefined ? answered : rewriteForPrefix(answered, { upstream, prefix });
      return this.#login.rewriteChallenge(request, target, status, placed);
    };
    const route = routeOf({ method: request.method, headers: caller.headers, target, asked }, rules, config);
    const carry = async (to: URL) => {
      const sent = caller.isAnonymous
        ? await this.#login.anonymousHeaders(to, request.method, caller.headers, { signal })
        : caller.headers;
      return await this.#carry(exchange, { request, headers: sent, upstream: to, rewrite: exchange.rewrite });
    };
    const front = { ...exchange, carry: () => carry(route.upstream) };
    if (route.kind === 'direct') {
      log.direct(route.why);
      if (this.#manifests.isBase(request.method, route.upstream)) {
        await this.#manifests.serveBase(route.upstream.origin, caller.headers, front);
      } else {
        await carry(route.upstream);
      }
      return;
    }
    this.#checkBlocked(route.kind === 'task' ? route.task.url : route.manifest.request.url, asked);
    metrics.requestViaDfdaemon();
    if (route.kind === 'manifest') {
      exchange.sentBytes += await this.#manifests.serve(route.manifest, front);
      return;
    }
    try {
      await this.#serve(exchange, route.task);
    } catch (error) {
      if (exchange.response.headersSent || !this.#mayPassThrough(error, exchange.signal)) throw error;
      // A pull must not fail because the swarm did: once more, without it.
      log.direct(`fallback: ${error instanceof Error ? error.message : String(error)}`);
      await carry(new URL(route.task.url));
    }
  }

  /** @throws {ProxyRequestError} 403 */
  #checkBlocked(url: string, { application, tag, priority }: DragonflyHeaders): void {
    const list = this.#options.blockLists?.current();
    const reason = list && blockedBy({ url, application, tag, priority }, list);
    if (reason === undefined) return;
    this.#options.metrics.downloadBlocked();
    throw new ProxyRequestError(403, reason);
  }

  async #carry(
    exchange: Exchange,
    carried: Carried,
  ): Promise<{ readonly status: number; readonly challenge: string | undefined }> {
    const { response, signal } = exchange;
    const answer = await this.#passThrough.carry(carried, response, { signal });
    exchange.sentBytes += answer.bytes;
    return answer;
  }

  async #serve(exchange: Exchange, task: RoutedTask): Promise<void> {
    const { response, log, signal } = exchange;
    const { engine, origin, config } = this.#options;
    const access = await this.#knowledge.access.decide(task.access, { signal });
    const open = (rangeHeader: string | undefined): Promise<TaskStream> =>
      engine.open(taskRequestOf(task, access, rangeHeader, config), { signal });
    const { stream: opened, parts } = await openRanged(open, task.range, task.blobDigest);
    await using stream = opened;
    log.task(stream.taskId, stream.fromCache);
    try {
      await firstByteOf(stream, signal);
      const { url, headers } = task.access;
      const rest = { url, headers, credentials: access.credentials };
      const onFull = (): void => log.direct('the disk is full: the rest comes from the origin');
      const bodyOf = (part: TaskStream): Deliverable =>
        config.disableBackToSource
          ? part
          : { deliver: (write) => deliverPastFullDisk(part, origin, rest, { signal, onFull }, write) };
      const one = taskAnswerOf(stream, { blobDigest: task.blobDigest, serverIp: config.serverIp });
      const several =
        parts === undefined || stream.contentLength === undefined
          ? undefined
          : new MultipartRanges(parts, {
              contentLength: stream.contentLength,
              contentType: stream.responseHeaders['content-type'],
              boundary: randomUUID().replaceAll('-', ''),
            });
      response.writeHead(one.status, several?.headers(one.headers) ?? one.headers);
      const body = several?.body(stream, open, bodyOf) ?? bodyOf(stream);
      const sent = (bytes: number): number => (exchange.sentBytes += bytes);
      await sendTask(body, response, several?.bytes ?? one.bytes, sent, { signal });
    } finally {
      log.traffic(stream.traffic());
    }
  }

  /** What the origin refuses, it refuses without the swarm too; the rest is worth one plain try. */
  #mayPassThrough(error: unknown, signal: AbortSignal): boolean {
    if (signal.aborted || this.#options.config.disableBackToSource) return false;
    if (error instanceof OriginStatusError) return error.status >= 500;
    return !(error instanceof RangeNotSatisfiableError || error instanceof UpstreamRefusedError);
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

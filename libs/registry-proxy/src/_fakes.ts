import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type RequestListener,
  type Server,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type Origin,
  type OriginBody,
  type OriginProbe,
  type OriginRequest,
  OriginStatusError,
  RangeNotSatisfiableError,
  type TaskOpener,
  type TaskRequest,
  type TaskStream,
  type TaskTraffic,
} from '@d7y/peer-engine';
import { type ByteRange, parseRangeHeader } from '@d7y/piece';
import { trace } from '@opentelemetry/api';
import type { HeadOrigin } from './access/access-policy.ts';
import { type RegistryProxyConfig, REGISTRY_PROXY_DEFAULTS, type ProxyRule } from './config.ts';
import { listenProxy } from './listen.ts';
import type { ProxyMetrics } from './metrics.ts';
import type { RegistryKnowledge } from './registry-knowledge.ts';
import { createRegistryProxy, type RegistryProxyOptions } from './registry-proxy.ts';

/** How a fake task goes; every part has a default that succeeds. */
export interface FakeTask {
  readonly content?: Uint8Array;
  readonly responseHeaders?: Record<string, string>;
  readonly fromCache?: boolean;
  readonly traffic?: TaskTraffic;
  readonly hideLength?: boolean;
  readonly firstByte?: () => Promise<void>;
  /** Delivers only so many bytes, then fails. */
  readonly failAfterBytes?: number;
  /** With what it fails then. */
  readonly failure?: Error;
  /** Delivers only so many bytes, then ends as if that were all. */
  readonly endAfterBytes?: number;
  readonly chunkBytes?: number;
}

export const TASK_ID = 'a'.repeat(64);

/** An engine whose tasks a test describes. */
export class FakeEngine implements TaskOpener {
  readonly requests: TaskRequest[] = [];
  disposed = 0;
  deliveredBytes = 0;
  task: FakeTask | ((request: TaskRequest) => FakeTask) = {};

  async open(request: TaskRequest): Promise<TaskStream> {
    this.requests.push(request);
    const task = typeof this.task === 'function' ? this.task(request) : this.task;
    const content = task.content ?? Buffer.from('hello, swarm');
    const asked = parseRangeHeader(task.hideLength ? undefined : request.rangeHeader, content.length);
    if (asked.kind === 'unsatisfiable') throw new RangeNotSatisfiableError(content.length);
    const range = asked.kind === 'ranges' ? asked.ranges[0] : undefined;
    const body = range === undefined ? content : content.subarray(range.start, range.start + range.length);
    const limit = Math.min(task.failAfterBytes ?? Infinity, task.endAfterBytes ?? Infinity, body.length);
    const chunkBytes = task.chunkBytes ?? 64 * 1024;
    return {
      taskId: TASK_ID,
      contentLength: task.hideLength ? undefined : content.length,
      range,
      responseHeaders: task.responseHeaders ?? { 'content-type': 'application/octet-stream' },
      fromCache: task.fromCache ?? false,
      firstByte: task.firstByte ?? (async () => undefined),
      deliver: async (write) => {
        for (let at = 0; at < limit; at += chunkBytes) {
          const chunk = body.subarray(at, Math.min(at + chunkBytes, limit));
          await write(chunk);
          this.deliveredBytes += chunk.length;
        }
        if (task.failAfterBytes !== undefined) throw task.failure ?? new Error('all parents and the origin are gone');
      },
      traffic: () => task.traffic ?? { backToSource: body.length, remotePeer: 0, localPeer: 0 },
      [Symbol.asyncDispose]: async () => {
        this.disposed++;
      },
    };
  }
}

/** An origin that accepts whom a test says. */
export class FakeOrigin implements Origin, HeadOrigin {
  readonly probes: OriginRequest[] = [];
  /** Status for one request; 200 for success. */
  answer: (request: OriginRequest) => number = () => 200;

  async probe(request: OriginRequest): Promise<OriginProbe> {
    this.probes.push(request);
    const status = this.answer(request);
    if (status !== 200) throw new OriginStatusError(request.url, status, { 'www-authenticate': 'Basic realm="fake"' });
    return { contentLength: 1, acceptsRanges: true, headers: {} };
  }

  readonly heads: OriginRequest[] = [];
  /** What a HEAD tells of the content. */
  describe: (request: OriginRequest) => { contentLength?: number; headers?: Record<string, string> } = () => ({});

  async head(
    request: OriginRequest,
  ): Promise<{ contentLength: number | undefined; headers: Readonly<Record<string, string>> }> {
    this.heads.push(request);
    const { headers = {}, contentLength } = this.describe(request);
    await this.probe(request);
    return { contentLength, headers };
  }

  readonly fetched: { request: OriginRequest; range: ByteRange | undefined }[] = [];
  /** What it sends; without it, nothing may be read. */
  content: Uint8Array | undefined;

  async fetch(request: OriginRequest, range: ByteRange | undefined): Promise<OriginBody> {
    const { content } = this;
    if (content === undefined) throw new Error('this proxy should not read from the origin itself');
    this.fetched.push({ request, range });
    const { start, length } = range ?? { start: 0, length: content.length };
    return {
      chunks: (async function* () {
        yield content.subarray(start, start + length);
      })(),
    };
  }
}

export class CountingMetrics implements ProxyMetrics {
  received = 0;
  failed = 0;
  viaDfdaemon = 0;
  blocked = 0;
  bytes = 0;
  requestReceived(): void {
    this.received++;
  }
  requestFailed(): void {
    this.failed++;
  }
  requestViaDfdaemon(): void {
    this.viaDfdaemon++;
  }
  downloadBlocked(): void {
    this.blocked++;
  }
  bytesSent(bytes: number): void {
    this.bytes += bytes;
  }
}

/** A real HTTP server on a free port, standing for a registry. */
export class FakeRegistry implements AsyncDisposable {
  readonly requests: { method: string; url: string; headers: IncomingMessage['headers'] }[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(answer: RequestListener): Promise<FakeRegistry> {
    const server = createServer();
    const registry = new FakeRegistry(server);
    server.on('request', (request, response) => {
      registry.requests.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers });
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return registry;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get isListening(): boolean {
    return this.#server.listening;
  }

  get authority(): string {
    return `127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

export const BLOB_RULE: ProxyRule = {
  regex: /blobs\/sha256.*/,
  useTls: false,
  direct: false,
  redirect: undefined,
  filteredQueryParams: ['ns', 'X-Amz-Signature'],
};

/** A proxy with fakes behind it, listening on a free port. */
export interface ProxyUnderTest extends AsyncDisposable {
  readonly port: number;
  readonly engine: FakeEngine;
  readonly origin: FakeOrigin;
  readonly metrics: CountingMetrics;
  readonly logs: { level: string; fields: Record<string, unknown>; message: string }[];
}

export async function startProxy(
  config: Partial<RegistryProxyConfig> = {},
  rules: readonly ProxyRule[] = [BLOB_RULE],
  {
    drainMs = 1000,
    knowledge,
    ...more
  }: {
    drainMs?: number;
    /** Made once the origin is there. */
    knowledge?: (origin: FakeOrigin) => RegistryKnowledge;
  } & Partial<Omit<RegistryProxyOptions, 'knowledge'>> = {},
): Promise<ProxyUnderTest> {
  const engine = new FakeEngine();
  const origin = new FakeOrigin();
  const metrics = new CountingMetrics();
  const logs: ProxyUnderTest['logs'] = [];
  const log = (level: string) => (fields: object, message: string) => {
    logs.push({ level, fields: fields as Record<string, unknown>, message });
  };
  const proxy = createRegistryProxy({
    engine,
    origin,
    config: { ...REGISTRY_PROXY_DEFAULTS, ...config },
    ...(knowledge === undefined ? {} : { knowledge: knowledge(origin) }),
    rules,
    logger: { info: log('info'), warn: log('warn') },
    tracer: trace.getTracer('test'),
    metrics,
    ...more,
  });
  const listening = await listenProxy(proxy, { host: '127.0.0.1', port: 0, drainMs });
  return {
    port: listening.port,
    engine,
    origin,
    metrics,
    logs,
    async [Symbol.asyncDispose]() {
      await listening[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** One request with node:http, which shows everything as it came; rejects when the connection breaks. */
export function ask(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: Buffer } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', headers = {}, body } = options;
    const request = httpRequest({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** Waits for a condition that another connection brings about. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** How often a property is tried: some cases each time, many with D7Y_TEST_FULL=1. */
export function fuzz(numRuns: number, fullRuns: number): { numRuns: number; seed?: number } {
  return process.env['D7Y_TEST_FULL'] === '1' ? { numRuns: fullRuns } : { numRuns, seed: 20_261_120 };
}

import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger, type Logger } from '@d7y/service-kit';
import { DEFAULT_ENGINE_OPTIONS, type EngineOptions } from '@d7y/peer-engine';
import { type DfdaemonConfig, readDfdaemonConfig, type RunningDfdaemon, startDfdaemon } from '../src/index.ts';

/** Lines a daemon logged, for tests that look for secrets. */
export class LogLines {
  readonly lines: string[] = [];
  readonly logger: Logger = createLogger({
    name: 'test',
    level: 'debug',
    stream: { write: (line: string) => void this.lines.push(line) },
  });
}

/** An HTTP origin that counts the bytes it sends. */
export interface CountingOrigin extends AsyncDisposable {
  readonly authority: string;
  sentBytes: number;
  readonly requests: { url: string; range: string | undefined; authorization: string | undefined }[];
  /** Status for a request; 200 serves it. */
  admit: (request: { url: string; authorization: string | undefined }) => number;
}

/** @param blobs content by path */
export async function startOrigin(blobs: ReadonlyMap<string, Buffer>): Promise<CountingOrigin> {
  const server = createServer((request, response) => {
    const { authorization, range } = request.headers;
    const url = request.url ?? '';
    origin.requests.push({ url, range, authorization });
    const status = origin.admit({ url, authorization });
    if (status !== 200) {
      response.writeHead(status, { 'www-authenticate': 'Basic realm="origin"', 'content-length': '0' }).end();
      return;
    }
    const content = blobs.get(url.split('?', 1)[0] ?? '');
    if (content === undefined) {
      response.writeHead(404, { 'content-length': '0' }).end();
      return;
    }
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
    const start = Number(first ?? 0);
    const end = last ? Math.min(Number(last), content.length - 1) : content.length - 1;
    const body = content.subarray(start, end + 1);
    // The probe for the first byte is free.
    if (request.method !== 'HEAD' && range !== 'bytes=0-0') origin.sentBytes += body.length;
    response.writeHead(first === undefined ? 200 : 206, {
      'content-type': 'application/octet-stream',
      'content-length': body.length,
      ...(first === undefined ? {} : { 'content-range': `bytes ${start}-${end}/${content.length}` }),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  });
  const origin: CountingOrigin = {
    get authority() {
      return `127.0.0.1:${(server.address() as AddressInfo).port}`;
    },
    sentBytes: 0,
    requests: [],
    admit: () => 200,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return origin;
}

/** Content that is the same in every run and does not repeat. */
export function contentOf(seed: string, bytes: number): Buffer {
  const parts: Buffer[] = [];
  for (let length = 0, block = createHash('sha256').update(seed).digest(); length < bytes; length += block.length) {
    parts.push(block);
    block = createHash('sha256').update(block).digest();
  }
  return Buffer.concat(parts).subarray(0, bytes);
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The path of a blob in a registry. */
export const blobPath = (content: Uint8Array, repository = 'team/app'): string =>
  `/v2/${repository}/blobs/sha256:${sha256(content)}`;

/** On a busy machine pieces are late that nobody is to blame for, and the origin is asked for them too: these tests are about other things. */
const PATIENT: Partial<EngineOptions> = {
  late: { ...DEFAULT_ENGINE_OPTIONS.late, originSilenceMs: 120_000 },
  timeouts: { ...DEFAULT_ENGINE_OPTIONS.timeouts, lateMs: 120_000, starvationMs: 120_000 },
};

/** Daemons in folders of their own, all ports chosen by the system. */
export class DaemonFarm implements AsyncDisposable {
  readonly dir: string;
  readonly log = new LogLines();
  readonly #stack = new AsyncDisposableStack();

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async create(): Promise<DaemonFarm> {
    return new DaemonFarm(await mkdtemp(join(tmpdir(), 'd7y-farm-')));
  }

  config(name: string, over: Record<string, unknown> = {}): DfdaemonConfig {
    const listen = (port = 0) => ({ server: { ip: '127.0.0.1', port } });
    const base = {
      host: { ip: '127.0.0.1', hostname: name },
      download: { server: { socketPath: join(this.dir, `${name}.sock`) } },
      upload: listen(),
      proxy: { ...listen(), registryMirror: { enableTaskIDBasedBlobDigest: true } },
      metrics: listen(),
      health: listen(),
      storage: { dir: join(this.dir, name), server: { ip: '127.0.0.1', tcpPort: 0 } },
      dynconfig: { path: join(this.dir, 'none.yaml') },
      ...over,
    };
    return readDfdaemonConfig({ text: JSON.stringify(base), env: {}, uid: 0 }).config;
  }

  /** @param engine more than patience */
  async start(
    name: string,
    over: Record<string, unknown> = {},
    engine: Partial<EngineOptions> = {},
  ): Promise<RunningDfdaemon> {
    const daemon = await startDfdaemon(this.config(name, over), {
      signal: new AbortController().signal,
      overrides: {
        logger: this.log.logger,
        processMetrics: false,
        schedulerCheckIntervalMs: 50,
        seedIntervalMs: 100,
        engine: { ...PATIENT, ...engine },
        env: {},
      },
    });
    return this.#stack.use(daemon);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
    await rm(this.dir, { recursive: true, force: true });
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** One request over TCP or a unix socket. */
export function get(
  to: { port: number } | { socketPath: string },
  path: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const where = 'port' in to ? { host: '127.0.0.1', port: to.port } : { socketPath: to.socketPath };
    const request = httpRequest({ ...where, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    request.on('error', reject);
    request.end();
  });
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type Fault, type FaultRule, FaultTable, type InjectedFault } from './faults.ts';
import { listenHttp } from './listen-http.ts';
import { type RecordedRequest, RequestLog } from './request-log.ts';
import { sendBody } from './send-body.ts';

/** A file and how its server serves it. */
export interface OriginFile {
  readonly bytes: Buffer;
  /** Answers 200 with everything to a Range. */
  readonly noRanges?: boolean;
  /** Tells no length: chunked transfer, no ranges. */
  readonly unknownLength?: boolean;
  /** Answers 307 to this address instead. */
  readonly redirectTo?: string;
  /** Required value of the Authorization header; without it, 401. */
  readonly authorization?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A web server with files in memory that counts what it sends. */
export interface FileOrigin extends AsyncDisposable {
  readonly url: string;
  readonly host: string;
  readonly log: RequestLog;
  /** Publishes a file and returns its address; publishing it again replaces it. */
  publish(path: string, file: OriginFile): string;
  inject(rule: FaultRule): InjectedFault;
}

/** Body bytes handed to the socket at a time. */
const CHUNK_BYTES = 256 * 1024;

/** Starts an empty origin in this process. */
export async function startFileOrigin(options: { tls?: { cert: string; key: string } } = {}): Promise<FileOrigin> {
  const files = new Map<string, OriginFile>();
  const log = new RequestLog();
  const faults = new FaultTable();

  const answer = async (request: IncomingMessage, response: ServerResponse, entry: RecordedRequest): Promise<void> => {
    const fault = faults.take(entry.method, `${entry.path}${entry.query}`) ?? {};
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    if (fault.delayMs !== undefined) await delay(fault.delayMs, undefined, { signal: gone.signal });
    if (fault.hang) return;
    const file = files.get(entry.path);
    const refusal = fault.status ?? refusalOf(request, file);
    if (refusal !== undefined || file === undefined) {
      entry.status = refusal ?? 404;
      const location: Record<string, string> = file?.redirectTo === undefined ? {} : { location: file.redirectTo };
      response.writeHead(entry.status, { ...location, ...withoutNulls(fault) }).end(fault.body ?? '');
      return;
    }
    await sendFile(file, request, response, entry, fault);
  };

  const server = await listenHttp((request, response) => {
    const entry = log.open(request);
    response.once('close', () => log.close(entry, response.writableFinished));
    answer(request, response, entry).catch(() => response.destroy());
  }, options);

  return {
    url: server.url,
    host: server.host,
    log,
    publish(path, file) {
      files.set(path, file);
      return `${server.url}${path}`;
    },
    inject: (rule) => faults.inject(rule),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Status of an answer without the file; undefined when the file may be sent. */
function refusalOf(request: IncomingMessage, file: OriginFile | undefined): number | undefined {
  if (file === undefined) return 404;
  if (request.method !== 'GET' && request.method !== 'HEAD') return 405;
  if (file.authorization !== undefined && request.headers.authorization !== file.authorization) return 401;
  return file.redirectTo === undefined ? undefined : 307;
}

async function sendFile(
  file: OriginFile,
  request: IncomingMessage,
  response: ServerResponse,
  entry: RecordedRequest,
  fault: Fault,
): Promise<void> {
  const total = file.bytes.length;
  const ranged = !file.noRanges && !file.unknownLength;
  const range = ranged ? parseRange(request.headers.range, total) : undefined;
  const headers: Record<string, string | number> = {
    'content-type': 'application/octet-stream',
    ...(ranged && { 'accept-ranges': 'bytes' }),
    ...file.headers,
  };
  if (range === 'unsatisfiable') {
    entry.status = 416;
    response.writeHead(416, { ...headers, 'content-range': `bytes */${total}`, 'content-length': 0 }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: total };
  entry.status = range === undefined ? 200 : 206;
  entry.startByte = start;
  entry.totalBytes = total;
  if (range !== undefined) headers['content-range'] = `bytes ${start}-${end - 1}/${total}`;
  if (!file.unknownLength) headers['content-length'] = end - start;
  for (const [name, value] of Object.entries(fault.headers ?? {})) {
    if (value === null) delete headers[name.toLowerCase()];
    else headers[name.toLowerCase()] = value;
  }
  response.writeHead(entry.status, headers);
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  await sendBody(chunksOf(file.bytes.subarray(start, end)), response, entry, fault);
}

/** The first of the ranges asked for, as start and exclusive end; undefined for none or one that cannot be read. */
function parseRange(
  header: string | undefined,
  total: number,
): { start: number; end: number } | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(0, total - Number(last)) : Number(first);
  const end = first === '' || last === '' ? total : Math.min(total, Number(last) + 1);
  return start >= total || end <= start ? 'unsatisfiable' : { start, end };
}

/** The bytes in pieces, in the form that sendBody reads. */
function chunksOf(bytes: Buffer): AsyncIterable<Buffer> {
  return {
    [Symbol.asyncIterator]() {
      let at = 0;
      return {
        next: () => {
          if (at >= bytes.length) return Promise.resolve({ done: true, value: undefined });
          const value = bytes.subarray(at, at + CHUNK_BYTES);
          at += value.length;
          return Promise.resolve({ done: false, value });
        },
      };
    },
  };
}

function withoutNulls(fault: Fault): Record<string, string> {
  return Object.fromEntries(Object.entries(fault.headers ?? {}).filter(([, value]) => value !== null)) as Record<
    string,
    string
  >;
}

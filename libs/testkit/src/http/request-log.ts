import type { IncomingMessage } from 'node:http';
import { type Coverage, coverageOf } from './coverage.ts';

/** One request as a counting server saw it. The last six fields grow while it is answered. */
export interface RecordedRequest {
  /** Milliseconds since the log began. */
  readonly at: number;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** With its question mark; empty without one. */
  readonly query: string;
  readonly range: string | undefined;
  /** Scheme of the Authorization header; the credentials themselves are not kept. */
  readonly authorization: string | undefined;
  readonly userAgent: string | undefined;
  /** W3C trace context, when the caller sent one. */
  readonly traceparent: string | undefined;
  /** 0 until it is answered. */
  status: number;
  /** Offset in the resource of the first body byte. */
  startByte: number;
  /** Length of the whole resource, when the answer tells. */
  totalBytes: number | undefined;
  /** Body bytes that the kernel took for sending: what a cut connection left unsent in this process is not counted. */
  sentBytes: number;
  ms: number;
  /** open: being answered. cut: ended before the whole body was sent. */
  state: 'open' | 'complete' | 'cut';
}

/** Path of a blob in the registry protocol; the digest is group 1. */
const BLOB_PATH = /\/blobs\/(sha256:[0-9a-f]{64})$/;

/** What a counting server has been asked and has sent. */
export class RequestLog {
  readonly requests: RecordedRequest[] = [];
  #began = performance.now();

  /** Begins the record of a request. */
  open(request: IncomingMessage): RecordedRequest {
    const url = new URL(request.url ?? '/', 'http://server');
    const entry: RecordedRequest = {
      at: performance.now() - this.#began,
      method: request.method ?? '',
      path: url.pathname,
      query: url.search,
      range: request.headers.range,
      authorization: request.headers.authorization?.split(' ')[0],
      userAgent: request.headers['user-agent'],
      traceparent: typeof request.headers['traceparent'] === 'string' ? request.headers['traceparent'] : undefined,
      status: 0,
      startByte: 0,
      totalBytes: undefined,
      sentBytes: 0,
      ms: 0,
      state: 'open',
    };
    this.requests.push(entry);
    return entry;
  }

  /** Notes how the record's request ended. */
  close(entry: RecordedRequest, complete: boolean): void {
    entry.ms = performance.now() - this.#began - entry.at;
    entry.state = complete ? 'complete' : 'cut';
  }

  /** Forgets all requests; those being answered are no longer in the log. */
  clear(): void {
    this.requests.length = 0;
    this.#began = performance.now();
  }

  /** GET requests for blobs, of `digest` when given. A range of one byte, which only asks whether the blob is there, does not count. */
  blobRequests(digest?: string): RecordedRequest[] {
    return this.requests.filter(
      (entry) => entry.method === 'GET' && !isProbe(entry) && matchesBlob(entry.path, digest),
    );
  }

  /** How often each byte of a blob was sent. */
  blobCoverage(digest: string, sizeBytes: number): Coverage {
    return this.#coverage(this.blobRequests(digest), sizeBytes);
  }

  /** How often each byte of the resource at `path` was sent, one-byte probes left out. */
  coverage(path: string, sizeBytes: number): Coverage {
    return this.#coverage(
      this.requests.filter((entry) => entry.method === 'GET' && !isProbe(entry) && entry.path === path),
      sizeBytes,
    );
  }

  /**
   * Body bytes sent of the resource at `path`, to whomever, by whatever method. Beside other answers one that is of a single byte is not
   * counted: somebody has to find out that the resource is there.
   */
  bodyBytes(path: string): number {
    const entries = this.requests.filter((entry) => entry.path === path && entry.sentBytes > 0);
    const probe = entries.length > 1 && entries.some(isProbe) ? 1 : 0;
    return entries.reduce((sum, { sentBytes }) => sum + sentBytes, -probe);
  }

  #coverage(entries: readonly RecordedRequest[], sizeBytes: number): Coverage {
    return coverageOf(
      entries
        .filter((entry) => entry.status === 200 || entry.status === 206)
        .map((entry) => ({ start: entry.startByte, length: entry.sentBytes })),
      sizeBytes,
    );
  }
}

/** Whether a request asked for exactly one byte. */
export function isProbe({ range }: Pick<RecordedRequest, 'range'>): boolean {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  return first !== undefined && first === last;
}

function matchesBlob(path: string, digest: string | undefined): boolean {
  const found = BLOB_PATH.exec(path)?.[1];
  return found !== undefined && (digest === undefined || found === digest);
}

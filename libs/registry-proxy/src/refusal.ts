import type { IncomingMessage, ServerResponse } from 'node:http';
import { OriginStatusError, OriginUnreachableError, RangeNotSatisfiableError } from '@d7y/peer-engine';
import { UpstreamRefusedError } from '@d7y/service-kit';
import { type ErrorType, ProxyRequestError, UpstreamUnreachableError } from './errors.ts';
import { endToEndHeaders } from './http-headers.ts';

/** An answer that is generated here, before any byte of another one. */
export interface Refusal {
  readonly status: number;
  readonly type: ErrorType;
  readonly headers: ReturnType<typeof endToEndHeaders>;
}

/** What a client is told of an error. Each status makes clients of a mirror go on to their next host. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof ProxyRequestError) return { status: error.status, type: 'proxy', headers: { ...error.headers } };
  if (error instanceof UpstreamRefusedError) return { status: 403, type: 'proxy', headers: {} };
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

/** Sends it with a body as registries give it, so that their clients can print it. */
export function sendRefusal(
  request: IncomingMessage,
  response: ServerResponse,
  { status, type, headers }: Refusal,
  error: unknown,
): void {
  const message = error instanceof Error ? error.message : String(error);
  const body = `${JSON.stringify({ errors: [{ code: codeOf(error), message }] })}\n`;
  response.writeHead(status, {
    ...headers,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-dragonfly-error-type': type,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'INTERNAL';
}

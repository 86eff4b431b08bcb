import type { IncomingHttpHeaders } from 'node:http';

/** What of a request tells where a browser was when it sent it. */
export interface RequestOrigin {
  readonly headers: IncomingHttpHeaders;
  /** Host and port that the client addressed. */
  readonly host: string;
}

/**
 * Where a request comes from, by what browsers add and pages cannot change: from pages of ours (or of an origin that configuration allows),
 * from pages of others, or unknown, which no current browser is when it changes something.
 */
export function originOf(
  { headers, host }: RequestOrigin,
  allowedOrigins: readonly string[],
): 'same' | 'other' | 'unknown' {
  const { origin } = headers;
  if (origin !== undefined && allowedOrigins.includes(origin)) return 'same';
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin' || site === 'none' ? 'same' : 'other';
  if (origin === undefined) return 'unknown';
  return URL.parse(origin)?.host === host ? 'same' : 'other';
}

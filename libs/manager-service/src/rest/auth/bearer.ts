import type { IncomingHttpHeaders } from 'node:http';

/** What `Authorization: Bearer` carries; undefined where there is none. */
export function bearerOf(headers: IncomingHttpHeaders): string | undefined {
  return /^Bearer +([^\s]+) *$/i.exec(headers.authorization ?? '')?.[1];
}

import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { Secret } from '@d7y/service-kit';

/** Headers that belong to one connection (RFC 9110 §7.6.1), with those that proxies of old used. */
const HOP_BY_HOP = new Set([
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te', 'trailer'],
  ...['transfer-encoding', 'upgrade', 'http2-settings'],
]);

/** Headers about this one transfer; the engine asks for the content in its own way. */
const OF_ONE_TRANSFER = new Set([
  ...[
    'host',
    'range',
    'content-length',
    'expect',
    'accept-encoding',
    'referer',
    'traceparent',
    'tracestate',
    'baggage',
  ],
  ...['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'if-range', 'cache-control', 'pragma'],
]);

/** Everything that may carry a secret is one: a name too many costs a probe, a name too few a leak. */
const SECRET_NAME = /auth|cookie|token|secret|passw|api-?key|signature|credential|session/;

/** Whether a header (lower-case name) carries what only the origin may see. */
export function isSecretHeader(name: string): boolean {
  return SECRET_NAME.test(name);
}

/**
 * Headers of a request or an answer that travel on to the next host: without those of the connection, and without ours.
 * Values stay as they are.
 */
export function endToEndHeaders(
  headers: IncomingHttpHeaders | Readonly<Record<string, string | string[] | undefined>>,
): OutgoingHttpHeaders {
  const named = namedByConnection(headers['connection']);
  const kept: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || HOP_BY_HOP.has(name) || named.has(name) || name.startsWith('x-dragonfly-')) continue;
    kept[name] = value;
  }
  return kept;
}

/** A caller's headers as the engine takes them: what describes the wish, and what proves the caller, apart. */
export function splitCredentials(headers: IncomingHttpHeaders): {
  readonly headers: Record<string, string>;
  readonly credentials: Record<string, Secret>;
} {
  const plain: Record<string, string> = {};
  const credentials: Record<string, Secret> = {};
  for (const [name, value] of Object.entries(endToEndHeaders(headers))) {
    if (value === undefined || OF_ONE_TRANSFER.has(name)) continue;
    const text = Array.isArray(value) ? value.join(name === 'cookie' ? '; ' : ', ') : String(value);
    if (isSecretHeader(name)) credentials[name] = new Secret(text);
    else plain[name] = text;
  }
  return { headers: plain, credentials };
}

function namedByConnection(connection: string | string[] | undefined): Set<string> {
  return new Set(
    [connection ?? []]
      .flat()
      .join(',')
      .split(',')
      .map((name) => name.trim().toLowerCase()),
  );
}

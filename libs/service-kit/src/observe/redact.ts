/** Headers that may be logged: none of them can carry a credential. Everything else is left out, known or not. */
const SAFE_HEADERS: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-ranges',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'date',
  'docker-content-digest',
  'docker-distribution-api-version',
  'etag',
  'grpc-status',
  'grpc-timeout',
  'host',
  'last-modified',
  'range',
  'retry-after',
  'server',
  'te',
  'traceparent',
  'transfer-encoding',
  'user-agent',
  'x-dragonfly-error-type',
  'x-dragonfly-piece-length',
  'x-dragonfly-priority',
  'x-dragonfly-task-download-finished',
  'x-dragonfly-task-id',
  'x-dragonfly-use-p2p',
  'x-request-id',
]);

export const HIDDEN = '[secret]';

type HeaderValue = string | number | readonly string[] | undefined;
/** Anything that holds headers: fetch `Headers`, Node's header objects, lists of pairs. */
export type HeaderBag = Iterable<readonly [string, HeaderValue]> | Readonly<Record<string, unknown>>;

/** The loggable part of a set of headers, by lower-case name. Headers that are not on the allow-list do not appear at all. */
export function redactHeaders(headers: HeaderBag): Record<string, string> {
  const safe: Record<string, string> = {};
  const pairs =
    Symbol.iterator in headers ? (headers as Iterable<readonly [string, unknown]>) : Object.entries(headers);
  for (const pair of pairs) {
    if (!Array.isArray(pair)) continue; // a raw list name, value, name, value: not worth guessing at
    const [name, value] = pair as readonly [unknown, unknown];
    if (typeof name !== 'string' || !SAFE_HEADERS.has(name.toLowerCase())) continue;
    if (typeof value === 'string' || typeof value === 'number') safe[name.toLowerCase()] = safeText(String(value));
    else if (Array.isArray(value)) safe[name.toLowerCase()] = safeText(value.map(String).join(', '));
  }
  return safe;
}

/** A URL, absolute or relative, fit for logs and traces: no user info, no query values, no fragment; the names of query parameters stay. */
export function safeUrl(url: string | URL): string {
  const text = typeof url === 'string' ? url : url.href;
  const withoutFragment = text.split('#', 1)[0] ?? '';
  const queryAt = withoutFragment.indexOf('?');
  const base = queryAt < 0 ? withoutFragment : withoutFragment.slice(0, queryAt);
  const query = queryAt < 0 ? '' : safeQuery(withoutFragment.slice(queryAt + 1));
  // Backslashes count as slashes in http URLs, so both end the authority.
  return base.replace(/^([a-z][a-z0-9+.-]*:)?[/\\]{2}[^/\\]*@/i, '$1//') + query;
}

function safeQuery(query: string): string {
  if (query === '') return '?';
  const names = query.split('&').map((pair) => (pair.includes('=') ? `${pair.slice(0, pair.indexOf('='))}=*` : '*'));
  return `?${names.join('&')}`;
}

const URL_IN_TEXT = /[a-z][a-z0-9+.-]*:\/\/[^\s"'<>`]+/gi;
const CREDENTIAL_IN_TEXT =
  /\b(bearer|basic|negotiate)(?:\s+|%20)(?!(?:auth|authentication|authorization|challenge|credentials?|realm|scheme|tokens?)\b)[^\s"',;]{4,}/gi;
const NAMED_SECRET_IN_TEXT =
  /\b((?:proxy-)?authorization|(?:set-)?cookie|password|passwd|[a-z_-]*(?:token|secret|signature|api[_-]?key))(["']?\s*[=:]\s*["']?)(?!\[secret\])[^\s"',;&]{2,}/gi;

/** Free text (messages, stacks) with URLs made safe and anything that looks like a credential taken out. */
export function safeText(text: string): string {
  if (text.length < 6) return text;
  return text
    .replace(URL_IN_TEXT, (url) => safeUrl(url))
    .replace(CREDENTIAL_IN_TEXT, `$1 ${HIDDEN}`)
    .replace(NAMED_SECRET_IN_TEXT, `$1$2${HIDDEN}`);
}

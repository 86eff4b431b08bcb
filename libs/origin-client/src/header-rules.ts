type HeaderBag = Readonly<Record<string, string | readonly string[] | undefined>>;

/** What a caller's headers must not decide about our request: the connection, the range, the coding, and P2P's own business. */
const NOT_SENT = new Set([
  ...[
    'host',
    'connection',
    'keep-alive',
    'proxy-connection',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
    'expect',
  ],
  ...['content-length', 'accept-encoding', 'range', 'if-range'],
  // A conditional answer would have no body.
  ...['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'],
]);

/** Headers that prove who is asking: never sent to anybody but the server they were meant for. */
const CREDENTIAL_HEADERS = new Set(['authorization', 'cookie', 'proxy-authorization']);

/** What describes content, and may be told to whoever gets the content from us later. */
const DESCRIBES_CONTENT = new Set([
  ...['content-type', 'content-encoding', 'content-language', 'content-disposition', 'content-md5', 'content-digest'],
  ...['etag', 'last-modified', 'cache-control', 'expires', 'repr-digest', 'digest', 'warning'],
  // Model hubs tell the content's own tag and revision apart from those of the store they redirect to.
  ...['x-linked-etag', 'x-linked-size', 'x-repo-commit'],
]);
const DESCRIBES_CONTENT_PREFIXES = ['docker-', 'oci-', 'x-amz-meta-', 'x-goog-meta-', 'x-ms-meta-'];
/** What tells the caller how to go on after a refusal. */
const EXPLAINS_REFUSAL = new Set(['www-authenticate', 'retry-after', 'content-range', 'location']);

/** @returns lower-case headers that may go to the origin, apart from those that are credentials */
export function headersToSend(headers: Readonly<Record<string, string>>): {
  plain: Record<string, string>;
  credentials: Record<string, string>;
} {
  const [plain, credentials]: [Record<string, string>, Record<string, string>] = [{}, {}];
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (CREDENTIAL_HEADERS.has(lower)) credentials[lower] = value;
    else if (!NOT_SENT.has(lower) && !lower.startsWith('x-dragonfly-')) plain[lower] = value;
  }
  return { plain, credentials };
}

/** The part of an answer's headers that describes its content. */
export function contentHeaders(headers: HeaderBag): Record<string, string> {
  return pick(headers, describesContent);
}

/** The part of an answer's headers that a refused caller needs. */
export function refusalHeaders(headers: HeaderBag): Record<string, string> {
  return pick(headers, (name) => describesContent(name) || EXPLAINS_REFUSAL.has(name) || name.startsWith('ratelimit'));
}

/** A header's value; several of one name are joined as RFC 9110 §5.3 allows. */
export function headerOf(headers: HeaderBag, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'object' ? value.join(', ') : value;
}

/** A length as a header tells it; undefined when there is none or it is no number. */
export function contentLengthOf(headers: HeaderBag): number | undefined {
  const text = headerOf(headers, 'content-length');
  const length = text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined;
  return Number.isSafeInteger(length) ? length : undefined;
}

/** An ETag that names the bytes themselves, not an equivalent form of them. */
export function strongEtagOf(headers: HeaderBag): string | undefined {
  const etag = headerOf(headers, 'etag');
  return etag !== undefined && /^"[^"]*"$/.test(etag) ? etag : undefined;
}

function describesContent(name: string): boolean {
  return DESCRIBES_CONTENT.has(name) || DESCRIBES_CONTENT_PREFIXES.some((prefix) => name.startsWith(prefix));
}

function pick(headers: HeaderBag, isWanted: (name: string) => boolean): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of Object.keys(headers)) {
    const value = isWanted(name) ? headerOf(headers, name) : undefined;
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}

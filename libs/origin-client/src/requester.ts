import type { OriginRequest } from '@d7y/peer-engine';
import { OriginUnreachableError } from '@d7y/peer-engine';
import { Secret } from '@d7y/service-kit';
import type { Account, Authenticator } from './authenticator.ts';
import type { Exchange, ExchangeRequest } from './exchange.ts';
import { contentLengthOf, headerOf, headersToSend } from './header-rules.ts';

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export interface RequesterOptions {
  /** Sends one request to one server. */
  readonly exchange: (request: ExchangeRequest, options: { signal: AbortSignal }) => Promise<Exchange>;
  readonly authenticator: Authenticator;
  readonly userAgent: string;
  readonly maxRedirects: number;
}

/** What one request asks for beside its URL and the caller's headers. */
export interface Asked {
  readonly method: 'GET' | 'HEAD';
  readonly range?: string | undefined;
  readonly ifRange?: string | undefined;
  /** A redirect is an answer like any other. */
  readonly staysHere?: boolean;
}

/**
 * Asks for content on behalf of a caller, wherever redirects lead. What proves who the caller is goes to the server of the
 * request's own URL and, once a redirect has left it, to nobody any more; nothing is remembered of redirects, since a signed
 * target belongs to the caller it was given to.
 */
export class Requester {
  readonly #options: RequesterOptions;

  constructor(options: RequesterOptions) {
    this.#options = options;
  }

  /** @returns the first answer that is no redirect, whatever its status */
  async send(request: OriginRequest, asked: Asked, { signal }: { signal: AbortSignal }): Promise<Exchange> {
    let url = parseUrl(request.url);
    const { plain, credentials } = headersToSend(request.headers);
    if (url.username !== '') credentials['authorization'] = basicOf(url);
    for (const [name, secret] of Object.entries(request.credentials)) credentials[name.toLowerCase()] = secret.reveal();
    const hasCredentials = Object.keys(credentials).length > 0;
    const headers: Record<string, string> = {
      accept: '*/*',
      'user-agent': this.#options.userAgent,
      ...plain,
      // Ranges and digests are of the content as it is stored.
      'accept-encoding': 'identity',
      ...(asked.range !== undefined && { range: asked.range }),
      ...(asked.ifRange !== undefined && { 'if-range': asked.ifRange }),
    };
    let isAtHome = true;
    for (let redirects = 0; ; redirects++) {
      const own = isAtHome ? { ...headers, ...credentials } : headers;
      const { method } = asked;
      const asWhom = isAtHome || !hasCredentials ? accountOf(credentials) : 'itself';
      const answer =
        asWhom === 'itself'
          ? await this.#options.exchange({ method, url, headers: own }, { signal })
          : await this.#sendAs(asWhom, { method, url, headers: own }, signal);
      const location = REDIRECTS.has(answer.status) ? headerOf(answer.headers, 'location') : undefined;
      if (location === undefined || asked.staysHere === true) return answer;
      answer.body.discard(contentLengthOf(answer.headers));
      if (redirects >= this.#options.maxRedirects) {
        throw new OriginUnreachableError(request.url, `more than ${this.#options.maxRedirects} redirects`);
      }
      const next = parseUrl(location, url);
      if (hasCredentials && url.protocol === 'https:' && next.protocol === 'http:') {
        throw new OriginUnreachableError(
          request.url,
          'redirected from https to http, which is refused with credentials',
        );
      }
      isAtHome &&= next.origin === url.origin;
      url = next;
    }
  }

  async #sendAs(account: Account, request: ExchangeRequest, signal: AbortSignal): Promise<Exchange> {
    const { exchange, authenticator } = this.#options;
    const attempt = (authorization: Secret | undefined) => {
      if (authorization === undefined) return exchange(request, { signal });
      const headers = { ...request.headers, authorization: authorization.reveal() };
      return exchange({ ...request, headers }, { signal });
    };
    const known = authenticator.known(request.url, account);
    const first = await attempt(known);
    const challenge = first.status === 401 ? headerOf(first.headers, 'www-authenticate') : undefined;
    if (challenge === undefined) return first;
    let answer: Secret | undefined;
    try {
      answer = await authenticator.answer(request.url, challenge, { account, refused: known }, { signal });
    } catch (error) {
      first.body.discard(contentLengthOf(first.headers));
      throw error;
    }
    if (answer === undefined) return first;
    first.body.discard(contentLengthOf(first.headers));
    return attempt(answer);
  }
}

/**
 * As whom a token may be asked for: nobody in particular, or the account whose password the caller brings. A caller with anything else proves
 * itself, and its refusal is its own.
 */
function accountOf(credentials: Readonly<Record<string, string>>): Account | 'itself' {
  const { authorization, ...others } = credentials;
  if (Object.keys(others).length > 0) return 'itself';
  if (authorization === undefined) return undefined;
  return /^basic /i.test(authorization) ? new Secret(authorization) : 'itself';
}

/** `user:password@` of a URL, as the header that stands for it. */
function basicOf({ username, password }: URL): string {
  return `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`;
}

function parseUrl(text: string, base?: URL): URL {
  const url = URL.parse(text, base?.href);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new OriginUnreachableError(
      base?.href ?? text,
      base === undefined ? 'not an http(s) URL' : 'redirected to what is not an http(s) URL',
    );
  }
  return url;
}

import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Secret } from '@d7y/service-kit';
import { ProxyRequestError } from '../errors.ts';
import { splitTarget } from '../modes/query.ts';
import type { Target } from '../target.ts';
import type { UpstreamAgents } from '../upstream-agents.ts';
import { RealmTokens } from './realm-tokens.ts';
import { SEALED_LIFE_SECONDS, SealedCredentials } from './sealed-credentials.ts';

/** Where clients get tokens of ours. */
const TOKEN_PATH = '/_d7y/token';
const HOST = /^[a-z0-9.:_[\]-]{1,262}$/i;

/** A caller, as its upstream is to see it. */
export interface Caller {
  readonly headers: IncomingHttpHeaders;
  /** Comes without credentials to a proxy that acts as its registry, so that this one has to get the token that everybody gets. */
  readonly isAnonymous: boolean;
}

/**
 * Makes this proxy a registry that clients can log in to, when its address stands in the names of images. Clients ask `/v2/` what it takes
 * before they name any registry, and remember the answer for all of them: it is a token of ours, given to anybody, which holds the password
 * that the client brought, if any. With that the proxy does at each registry what the client would have done.
 */
export class RegistryLogin {
  readonly #sealed: SealedCredentials;
  readonly #realms: RealmTokens;

  /** @param clock Unix time in ms */
  constructor(agents: UpstreamAgents, clock: () => number) {
    this.#sealed = new SealedCredentials(clock);
    this.#realms = new RealmTokens(agents, clock);
  }

  /**
   * Answers what is asked of this proxy itself as a registry.
   * @param headers without what was meant for the proxy's own authentication
   * @returns false when the request is none of these
   */
  serve(request: IncomingMessage, response: ServerResponse, target: Target, headers: IncomingHttpHeaders): boolean {
    if (target.mode !== 'mirror' || target.isNamed) return false;
    const { path } = splitTarget(request.url ?? '/');
    if (path === TOKEN_PATH) {
      this.#giveToken(request, response, headers.authorization);
      return true;
    }
    if (path !== '/v2/' && path !== '/v2') return false;
    const challenge = this.#challenge(request, undefined);
    if (challenge === undefined) return false;
    const { authorization } = headers;
    // Who convinced the proxy itself by its Authorization has no other one to bring.
    const isKnown =
      authorization === undefined
        ? request.headers.authorization !== undefined
        : this.#sealed.isOurs(authorization) && this.#sealed.open(authorization) !== undefined;
    answerJson(
      request,
      response,
      isKnown ? 200 : 401,
      {},
      {
        'docker-distribution-api-version': 'registry/2.0',
        ...(isKnown ? {} : { 'www-authenticate': challenge }),
      },
    );
    return true;
  }

  /**
   * The caller behind a token of ours, or behind a password in path prefix mode.
   * @throws {ProxyRequestError} 401 for a token of ours that is none any more
   */
  async callerOf(
    request: IncomingMessage,
    target: Target,
    headers: IncomingHttpHeaders,
    { signal }: { signal: AbortSignal },
  ): Promise<Caller> {
    const { authorization, ...others } = headers;
    if (target.mode !== 'mirror' && target.mode !== 'prefix') return { headers, isAnonymous: false };
    let basic: Secret | undefined;
    if (authorization !== undefined && this.#sealed.isOurs(authorization)) {
      const sealed = this.#sealed.open(authorization);
      if (sealed === undefined) {
        const challenge = this.#challenge(request, target);
        throw new ProxyRequestError(401, 'the token has expired', challenge ? { 'www-authenticate': challenge } : {});
      }
      ({ basic } = sealed);
    } else if (target.mode === 'prefix' && (authorization === undefined || /^basic /i.test(authorization))) {
      basic = authorization === undefined ? undefined : new Secret(authorization);
    } else {
      return { headers, isAnonymous: false };
    }
    if (basic === undefined) return { headers: others, isAnonymous: true };
    const { upstream } = target;
    const own = await this.#realms.authorizationFor(upstream, request.method, basic, { signal });
    return { headers: own === undefined ? others : { ...others, authorization: own }, isAnonymous: false };
  }

  /** The headers with which an anonymous caller's request is passed on: with the token that the registry gives to anybody. */
  async anonymousHeaders(
    upstream: URL,
    method: string | undefined,
    headers: IncomingHttpHeaders,
    { signal }: { signal: AbortSignal },
  ): Promise<IncomingHttpHeaders> {
    const authorization = await this.#realms.authorizationFor(upstream, method, undefined, { signal });
    return authorization === undefined ? headers : { ...headers, authorization };
  }

  /** In path prefix mode the challenge of a registry becomes ours: its own names a repository that the client does not know. */
  rewriteChallenge(
    request: IncomingMessage,
    target: Target,
    status: number,
    headers: OutgoingHttpHeaders,
  ): OutgoingHttpHeaders {
    if (status !== 401 || target.mode !== 'prefix') return headers;
    const challenge = this.#challenge(request, target);
    return challenge === undefined ? headers : { ...headers, 'www-authenticate': challenge };
  }

  #giveToken(request: IncomingMessage, response: ServerResponse, authorization: string | undefined): void {
    // POST is for flows that nobody needs here; clients that try it first go on to GET when told that there is no such thing.
    if (request.method !== 'GET') throw new ProxyRequestError(404, 'tokens are given to GET');
    const basic = authorization !== undefined && /^basic /i.test(authorization) ? authorization : undefined;
    const isNobody = basic === undefined || Buffer.from(basic.slice(6), 'base64').toString() === ':';
    const token = this.#sealed.seal(isNobody ? undefined : basic);
    if (token === undefined) throw new ProxyRequestError(400, 'the credentials are too long');
    const issued = { token, access_token: token, expires_in: SEALED_LIFE_SECONDS };
    answerJson(request, response, 200, issued, { 'cache-control': 'no-store' });
  }

  /** @returns undefined when the client does not say by which name it knows this proxy */
  #challenge({ headers, url = '/' }: IncomingMessage, target: Target | undefined): string | undefined {
    const { host = '' } = headers;
    if (!HOST.test(host)) return undefined;
    const scheme = headers['x-forwarded-proto'] === 'https' ? 'https' : 'http';
    const repository = /^\/v2\/([\w./:%-]+)\/(?:manifests|blobs|tags|referrers)\//.exec(url)?.[1];
    const scope = target === undefined || repository === undefined ? '' : `,scope="repository:${repository}:pull"`;
    return `Bearer realm="${scheme}://${host}${TOKEN_PATH}",service="dragonfly"${scope}`;
  }
}

function answerJson(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  content: object,
  headers: OutgoingHttpHeaders,
): void {
  const body = JSON.stringify(content);
  response.writeHead(status, {
    ...headers,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

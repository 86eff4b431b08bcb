import type { Challenge, RegistryToken } from '@d7y/oci';
import {
  ChallengeRealmError,
  MAX_TOKEN_RESPONSE_BYTES,
  parseChallenges,
  parseRegistryPath,
  parseTokenResponse,
  TokenResponseError,
  tokenRequestUrl,
} from '@d7y/oci';
import { OriginUnreachableError } from '@d7y/peer-engine';
import type { Logger } from '@d7y/service-kit';
import { Secret, withTimeout } from '@d7y/service-kit';
import { LRUCache } from 'lru-cache';
import type { Authenticator } from './authenticator.ts';
import type { Exchange } from './exchange.ts';
import { contentLengthOf } from './header-rules.ts';

type BearerChallenge = Extract<Challenge, { scheme: 'bearer' }>;

/** Tokens kept, and repositories whose token is known, at most. */
const MAX_TOKENS = 1000;
/** A token is not used in the last moments of its life: the request takes time too. */
const EXPIRY_MARGIN_MS = 10_000;
/** Within this a token server has to answer; several callers may wait for one answer, so it is nobody's signal. */
const TOKEN_TIMEOUT_MS = 15_000;

export interface AnonymousTokensOptions {
  readonly get: (url: URL, options: { signal: AbortSignal }) => Promise<Exchange>;
  readonly logger: Logger;
  /** Unix time in ms. */
  readonly clock: () => number;
}

interface HeldToken {
  readonly authorization: Secret;
  readonly expiresAtMs: number;
}

/**
 * Gets the tokens that registries give to anybody (Docker Hub, GHCR, Quay): GET of the challenge's realm with its service and
 * scope, without credentials. Owner of the tokens; they are kept by realm, service and scope, and never belong to a caller.
 */
export class AnonymousTokens implements Authenticator {
  readonly #options: AnonymousTokensOptions;
  readonly #tokens = new LRUCache<string, HeldToken>({ max: MAX_TOKENS });
  /** By repository, the token request that its last challenge led to. */
  readonly #requests = new LRUCache<string, string>({ max: MAX_TOKENS });
  readonly #underWay = new Map<string, Promise<Secret | undefined>>();

  constructor(options: AnonymousTokensOptions) {
    this.#options = options;
  }

  known(url: URL): Secret | undefined {
    const repository = repositoryOf(url);
    const request = repository === undefined ? undefined : this.#requests.get(repository);
    return request === undefined ? undefined : this.#held(request);
  }

  async answer(
    url: URL,
    challenge: string,
    refused: Secret | undefined,
    { signal }: { signal: AbortSignal },
  ): Promise<Secret | undefined> {
    const bearer = parseChallenges(challenge).find((one): one is BearerChallenge => one.scheme === 'bearer');
    const request = bearer === undefined ? undefined : this.#tokenRequest(bearer, url);
    if (request === undefined) return undefined;
    const held = this.#held(request);
    if (held !== undefined && held !== refused) return held;
    this.#tokens.delete(request);
    const repository = repositoryOf(url);
    if (repository !== undefined) this.#requests.set(repository, request);
    let underWay = this.#underWay.get(request);
    if (underWay === undefined) {
      underWay = this.#fetch(request).finally(() => this.#underWay.delete(request));
      this.#underWay.set(request, underWay);
    }
    return withTimeout(underWay, TOKEN_TIMEOUT_MS, `token of ${new URL(request).host}`, { signal });
  }

  #held(request: string): Secret | undefined {
    const token = this.#tokens.get(request);
    return token !== undefined && token.expiresAtMs - EXPIRY_MARGIN_MS > this.#options.clock()
      ? token.authorization
      : undefined;
  }

  #tokenRequest(challenge: BearerChallenge, url: URL): string | undefined {
    try {
      return tokenRequestUrl(challenge, url.href);
    } catch (error) {
      if (!(error instanceof ChallengeRealmError)) throw error;
      this.#options.logger.warn(
        { err: error, host: url.host },
        'the registry names a token server that cannot be used',
      );
      return undefined;
    }
  }

  /** @returns undefined when the token server gives nothing to strangers */
  async #fetch(request: string): Promise<Secret | undefined> {
    const { get, clock } = this.#options;
    const { status, headers, body } = await get(new URL(request), { signal: AbortSignal.timeout(TOKEN_TIMEOUT_MS) });
    if (status !== 200) {
      body.discard(contentLengthOf(headers));
      if (status >= 400 && status < 500 && status !== 429) return undefined;
      throw new OriginUnreachableError(request, `the token server answered ${status}`);
    }
    const token = parseToken(request, await readWhole(request, body), clock());
    const authorization = new Secret(`Bearer ${token.token}`);
    this.#tokens.set(request, { authorization, expiresAtMs: token.expiresAtMs });
    return authorization;
  }
}

async function readWhole(request: string, body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body) {
    length += part.length;
    if (length > MAX_TOKEN_RESPONSE_BYTES) throw new OriginUnreachableError(request, 'the token server sends too much');
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function parseToken(request: string, body: Uint8Array, receivedAtMs: number): RegistryToken {
  try {
    return parseTokenResponse(body, receivedAtMs);
  } catch (error) {
    if (error instanceof TokenResponseError) throw new OriginUnreachableError(request, error.message, { cause: error });
    throw error;
  }
}

/** What a registry gives one token for. */
function repositoryOf(url: URL): string | undefined {
  const path = parseRegistryPath(url.pathname);
  return path.kind === 'manifest' || path.kind === 'blob' ? `${url.origin} ${path.repository}` : undefined;
}

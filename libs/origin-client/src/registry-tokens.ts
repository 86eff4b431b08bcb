import { createHmac, randomBytes } from 'node:crypto';
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
import type { Account, Authenticator } from './authenticator.ts';
import type { Exchange } from './exchange.ts';
import { contentLengthOf } from './header-rules.ts';

type BearerChallenge = Extract<Challenge, { scheme: 'bearer' }>;

/** Tokens kept, and repositories whose token is known, at most. */
const MAX_TOKENS = 1000;
/** A token is not used in the last moments of its life: the request takes time too. */
const EXPIRY_MARGIN_MS = 10_000;
/** Within this a token server has to answer; several callers may wait for one answer, so it is nobody's signal. */
const TOKEN_TIMEOUT_MS = 15_000;
/** A token server that refused an account is not asked again for it before this: wrong passwords in a loop lock accounts. */
const REFUSAL_MS = 30_000;

export interface RegistryTokensOptions {
  /** @param authorization Basic; undefined for an anonymous request */
  readonly get: (url: URL, authorization: Account, options: { signal: AbortSignal }) => Promise<Exchange>;
  readonly logger: Logger;
  /** Unix time in ms. */
  readonly clock: () => number;
}

interface HeldToken {
  readonly authorization: Secret;
  readonly expiresAtMs: number;
}

/** A request for a token: everything that it depends on. */
interface TokenRequest {
  readonly url: string;
  readonly account: Account;
  /** Equal for equal requests; tells nothing of the account. */
  readonly key: string;
}

/**
 * Gets the tokens of registries: GET of the challenge's realm with its service and scope, without credentials for those that registries give
 * to anybody (Docker Hub, GHCR, Quay), with Basic for accounts. Owner of the tokens: each is kept for the account, realm, service and scope
 * that it was given for, and used for no other. Accounts are kept as hashes.
 */
export class RegistryTokens implements Authenticator {
  readonly #options: RegistryTokensOptions;
  readonly #tokens = new LRUCache<string, HeldToken>({ max: MAX_TOKENS });
  /** By account and repository, the token request that the last challenge led to. */
  readonly #requests = new LRUCache<string, TokenRequest>({ max: MAX_TOKENS });
  /** Until when a request that was refused is not repeated. */
  readonly #refusedUntilMs = new LRUCache<string, number>({ max: MAX_TOKENS });
  readonly #underWay = new Map<string, Promise<Secret | undefined>>();
  readonly #hashKey = randomBytes(32);

  constructor(options: RegistryTokensOptions) {
    this.#options = options;
  }

  known(url: URL, account: Account): Secret | undefined {
    const repository = repositoryOf(url);
    const request = repository === undefined ? undefined : this.#requests.get(`${this.#nameOf(account)} ${repository}`);
    return request === undefined ? undefined : this.#held(request);
  }

  async answer(
    url: URL,
    challenge: string,
    { account, refused }: { account: Account; refused: Secret | undefined },
    { signal }: { signal: AbortSignal },
  ): Promise<Secret | undefined> {
    const bearer = parseChallenges(challenge).find((one): one is BearerChallenge => one.scheme === 'bearer');
    const request = bearer === undefined ? undefined : this.#tokenRequest(bearer, url, account);
    if (request === undefined) return undefined;
    const held = this.#held(request);
    if (held !== undefined && held !== refused) return held;
    if ((this.#refusedUntilMs.get(request.key) ?? 0) > this.#options.clock()) return undefined;
    this.#tokens.delete(request.key);
    const repository = repositoryOf(url);
    if (repository !== undefined) this.#requests.set(`${this.#nameOf(account)} ${repository}`, request);
    let underWay = this.#underWay.get(request.key);
    if (underWay === undefined) {
      underWay = this.#fetch(request).finally(() => this.#underWay.delete(request.key));
      this.#underWay.set(request.key, underWay);
    }
    return withTimeout(underWay, TOKEN_TIMEOUT_MS, `token of ${new URL(request.url).host}`, { signal });
  }

  #nameOf(account: Account): string {
    return account === undefined ? '' : createHmac('sha256', this.#hashKey).update(account.reveal()).digest('base64');
  }

  #held({ key }: TokenRequest): Secret | undefined {
    const token = this.#tokens.get(key);
    return token !== undefined && token.expiresAtMs - EXPIRY_MARGIN_MS > this.#options.clock()
      ? token.authorization
      : undefined;
  }

  #tokenRequest(challenge: BearerChallenge, challenged: URL, account: Account): TokenRequest | undefined {
    try {
      const url = tokenRequestUrl(challenge, challenged.href);
      return { url, account, key: `${this.#nameOf(account)} ${url}` };
    } catch (error) {
      if (!(error instanceof ChallengeRealmError)) throw error;
      this.#options.logger.warn(
        { err: error, host: challenged.host },
        'the registry names a token server that cannot be used',
      );
      return undefined;
    }
  }

  /** @returns undefined when the token server gives this account nothing */
  async #fetch({ url, account, key }: TokenRequest): Promise<Secret | undefined> {
    const { get, clock } = this.#options;
    const signal = AbortSignal.timeout(TOKEN_TIMEOUT_MS);
    const { status, headers, body } = await get(new URL(url), account, { signal });
    if (status !== 200) {
      body.discard(contentLengthOf(headers));
      if (status < 400 || status >= 500 || status === 429) {
        throw new OriginUnreachableError(url, `the token server answered ${status}`);
      }
      this.#refusedUntilMs.set(key, clock() + REFUSAL_MS);
      return undefined;
    }
    const token = parseToken(url, await readWhole(url, body), clock());
    const authorization = new Secret(`Bearer ${token.token}`);
    this.#tokens.set(key, { authorization, expiresAtMs: token.expiresAtMs });
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

import { createHash } from 'node:crypto';
import {
  type Challenge,
  MAX_TOKEN_RESPONSE_BYTES,
  parseChallenges,
  parseTokenResponse,
  type RegistryToken,
  tokenRequestUrl,
} from '@d7y/oci';
import { type Secret, withTimeout } from '@d7y/service-kit';
import { LRUCache } from 'lru-cache';
import type { UpstreamAgents } from '../upstream-agents.ts';

const MAX_TOKENS = 1000;
/** How long a registry is believed to want what it wanted. */
const CHALLENGE_TTL_MS = 5 * 60_000;
const ANSWER_TIMEOUT_MS = 15_000;
/** A token is not used in the last moments of its life: the request takes time too. */
const EXPIRY_MARGIN_MS = 10_000;

/**
 * Turns a name and a password into what a registry wants of them, as its clients do: Basic as it is, or a token of the registry's realm. For
 * clients to whom this proxy is the registry. Owner of the tokens, which belong to who brought the password.
 */
export class RealmTokens {
  readonly #agents: UpstreamAgents;
  readonly #clock: () => number;
  readonly #challenges: LRUCache<string, { readonly challenges: readonly Challenge[] }>;
  readonly #tokens = new LRUCache<string, RegistryToken>({ max: MAX_TOKENS });
  readonly #underWay = new Map<string, Promise<string | undefined>>();

  /** @param clock Unix time in ms */
  constructor(agents: UpstreamAgents, clock: () => number) {
    this.#agents = agents;
    this.#clock = clock;
    this.#challenges = new LRUCache({ max: MAX_TOKENS, ttl: CHALLENGE_TTL_MS, perf: { now: clock } });
  }

  /**
   * The Authorization with which to send a request. Never throws for what the registry or its realm say, or do not say: the registry itself
   * will refuse the request then.
   * @param basic Authorization of the scheme Basic; undefined for an anonymous caller
   */
  async authorizationFor(
    upstream: URL,
    method: string | undefined,
    basic: Secret | undefined,
    { signal }: { signal: AbortSignal },
  ): Promise<string | undefined> {
    const scope = scopeOf(upstream.pathname, method);
    const key = createHash('sha256')
      .update(JSON.stringify([upstream.origin, scope, basic?.reveal()]))
      .digest('base64');
    const held = this.#tokens.get(key);
    if (held !== undefined && held.expiresAtMs - EXPIRY_MARGIN_MS > this.#clock()) return `Bearer ${held.token}`;
    let answer = this.#underWay.get(key);
    if (answer === undefined) {
      answer = this.#ask(upstream, scope, basic, key).finally(() => this.#underWay.delete(key));
      this.#underWay.set(key, answer);
    }
    try {
      return await withTimeout(answer, ANSWER_TIMEOUT_MS, `a token for ${upstream.host}`, { signal });
    } catch {
      signal.throwIfAborted();
      // A registry that is down cannot judge anyway; its token tells us who this is.
      return held === undefined ? basic?.reveal() : `Bearer ${held.token}`;
    }
  }

  async #ask(
    upstream: URL,
    scope: string | undefined,
    basic: Secret | undefined,
    key: string,
  ): Promise<string | undefined> {
    const challenges = await this.#challengesOf(upstream);
    const bearer = challenges.find((one) => one.scheme === 'bearer');
    if (bearer === undefined) return basic?.reveal();
    const url = new URL(tokenRequestUrl(bearer, upstream.href, scope));
    const headers = basic === undefined ? {} : { authorization: basic.reveal() };
    const { status, body } = await this.#get(url, headers);
    // No token for this password: the registry says so in its own words.
    if (status !== 200) return basic?.reveal();
    const token = parseTokenResponse(body, this.#clock());
    this.#tokens.set(key, token);
    return `Bearer ${token.token}`;
  }

  async #challengesOf(upstream: URL): Promise<readonly Challenge[]> {
    const known = this.#challenges.get(upstream.origin);
    if (known !== undefined) return known.challenges;
    const { status, challenge } = await this.#get(new URL('/v2/', upstream), {});
    const challenges = status === 401 ? parseChallenges(challenge) : [];
    this.#challenges.set(upstream.origin, { challenges });
    return challenges;
  }

  async #get(
    url: URL,
    headers: Record<string, string>,
  ): Promise<{ readonly status: number; readonly challenge: string; readonly body: Buffer }> {
    const answer = await this.#agents.for(url).request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: 'GET',
      headers: { accept: 'application/json', ...headers },
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    const parts: Buffer[] = [];
    let length = 0;
    for await (const part of answer.body as AsyncIterable<Buffer>) {
      length += part.length;
      if (length > MAX_TOKEN_RESPONSE_BYTES) throw new Error(`${url.host} sends too much`);
      parts.push(part);
    }
    const challenge = [answer.headers['www-authenticate'] ?? []].flat().join(', ');
    return { status: answer.statusCode, challenge, body: Buffer.concat(parts) };
  }
}

function scopeOf(path: string, method: string | undefined): string | undefined {
  if (path === '/v2/_catalog') return 'registry:catalog:*';
  const repository = /^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\//.exec(path)?.[1];
  const actions = method === 'GET' || method === 'HEAD' ? 'pull' : 'pull,push';
  return repository === undefined ? undefined : `repository:${repository}:${actions}`;
}

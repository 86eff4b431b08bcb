import type { Challenge } from './challenge.ts';
import { ChallengeRealmError, TokenResponseError } from './errors.ts';

/** A token as it came: wrap it at once, and never print it. */
export interface RegistryToken {
  readonly token: string;
  /** Unix time in milliseconds. */
  readonly expiresAtMs: number;
}

/** Answers longer than this are not parsed; tokens with many scopes stay below 16 KiB. */
export const MAX_TOKEN_RESPONSE_BYTES = 64 * 1024;
/** What a token lives when the server does not say, or says less; the token specification promises this much. */
const MIN_LIFE_SECONDS = 60;
/** Longer lives are not believed: a revoked right should end some day. */
const MAX_LIFE_SECONDS = 24 * 3600;

/**
 * The URL that gives out a token for a challenge (GET; with Basic credentials, or without for an anonymous one). Each
 * scope becomes a parameter of its own; those of the realm stay.
 * @param challengedUrl the URL whose answer held the challenge: where that was encrypted, the realm must be too
 * @param scope asked for instead of the challenge's
 * @throws {ChallengeRealmError}
 */
export function tokenRequestUrl(
  challenge: Extract<Challenge, { scheme: 'bearer' }>,
  challengedUrl: string,
  scope = challenge.scope,
): string {
  const url = URL.canParse(challenge.realm) ? new URL(challenge.realm) : undefined;
  const isFit = url?.protocol === 'https:' || (url?.protocol === 'http:' && /^http:/i.test(challengedUrl));
  if (url === undefined || !isFit || url.username !== '' || url.password !== '') {
    throw new ChallengeRealmError(challenge.realm);
  }
  url.hash = '';
  if (challenge.service !== undefined) url.searchParams.set('service', challenge.service);
  const scopes = (scope ?? '').split(' ').filter((part) => part !== '');
  for (const part of new Set(scopes)) url.searchParams.append('scope', part);
  return url.toString();
}

/** The scope for reading a repository. */
export function pullScopeOf(repository: string): string {
  return `repository:${repository}:pull`;
}

/**
 * Reads the JSON that a token server answers.
 * @param receivedAtMs Unix time in milliseconds; its life is counted from here, since the server's clock may differ
 * @throws {TokenResponseError} never repeats the answer
 */
export function parseTokenResponse(body: Uint8Array, receivedAtMs: number): RegistryToken {
  if (body.length > MAX_TOKEN_RESPONSE_BYTES)
    throw new TokenResponseError(`is longer than ${MAX_TOKEN_RESPONSE_BYTES} bytes`);
  const answer = parseObject(body);
  // access_token is the OAuth2 name; servers that give both give the same.
  const token = answer['token'] ?? answer['access_token'];
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) throw new TokenResponseError('holds no token');
  const life = answer['expires_in'] ?? MIN_LIFE_SECONDS;
  if (typeof life !== 'number') throw new TokenResponseError('holds a token that does not say how long it lives');
  const lifeSeconds = Math.min(Math.max(life, MIN_LIFE_SECONDS), MAX_LIFE_SECONDS);
  return { token, expiresAtMs: receivedAtMs + lifeSeconds * 1000 };
}

function parseObject(body: Uint8Array): Partial<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(body));
  } catch {
    throw new TokenResponseError('is not JSON'); // without the cause: it quotes the answer
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TokenResponseError('is not an object');
  return value;
}

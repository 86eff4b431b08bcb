import type { Secret } from '@d7y/service-kit';
import { jwtVerify, SignJWT } from 'jose';
import { UnauthenticatedError } from '../errors.ts';

/** What a session's token says. */
export interface SessionClaims {
  readonly userId: number;
  readonly sessionId: string;
  readonly issuedAtMs: number;
}

export interface AccessTokensOptions {
  readonly key: Secret;
  /** Named in the tokens; those of others are refused. */
  readonly realm: string;
  readonly lifetimeMs: number;
  /** Unix time in ms. */
  readonly now: () => number;
}

const ALGORITHM = 'HS256';

/** Signs and reads the tokens of sessions: JWTs with the claims `id`, `sid`, `orig_iat` and `exp`. */
export class AccessTokens {
  readonly #options: AccessTokensOptions;
  readonly #key: Uint8Array;

  constructor(options: AccessTokensOptions) {
    this.#options = options;
    this.#key = new TextEncoder().encode(options.key.reveal());
  }

  async sign(userId: number, sessionId: string): Promise<{ token: string; expiresAt: Date }> {
    const { realm, lifetimeMs, now } = this.#options;
    const issuedAt = Math.floor(now() / 1000);
    const expiresAt = issuedAt + Math.ceil(lifetimeMs / 1000);
    const token = await new SignJWT({ id: userId, sid: sessionId, orig_iat: issuedAt })
      .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
      .setIssuer(realm)
      .setIssuedAt(issuedAt)
      .setExpirationTime(expiresAt)
      .sign(this.#key);
    return { token, expiresAt: new Date(expiresAt * 1000) };
  }

  /** @throws {UnauthenticatedError} for any that is not ours, changed, or over */
  async read(token: string, { mayBeOver = false }: { mayBeOver?: boolean } = {}): Promise<SessionClaims> {
    const { realm, now } = this.#options;
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: [ALGORITHM],
        issuer: realm,
        currentDate: new Date(now()),
        requiredClaims: ['exp', 'iat', 'sid', 'id'],
        ...(mayBeOver && { clockTolerance: Number.MAX_SAFE_INTEGER }),
      });
      const { id, sid, iat } = payload;
      if (typeof id === 'number' && typeof sid === 'string' && iat !== undefined)
        return { userId: id, sessionId: sid, issuedAtMs: iat * 1000 };
    } catch {
      // Which of its checks a token fails is nobody's business.
    }
    throw new UnauthenticatedError('the session is over, sign in again');
  }
}

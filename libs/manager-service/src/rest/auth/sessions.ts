import { randomUUID } from 'node:crypto';
import type { RenewOutcome } from '@d7y/manager-db';
import { hashToken, makeToken } from '@d7y/manager-db';
import { ForbiddenError, UnauthenticatedError } from '../errors.ts';
import type { AccessTokens } from './access-tokens.ts';
import type { Attempts } from './attempts.ts';

/** A user who may try to sign in. */
export interface SigningUser {
  readonly id: number;
  readonly name: string;
  readonly state: 'enable' | 'disable';
  /** Null: there is no password by which to sign in. */
  readonly passwordHash: string | null;
}

/** Where sessions are written down. */
export interface SessionRecords {
  userByName(name: string): Promise<SigningUser | undefined>;
  userById(userId: number): Promise<SigningUser | undefined>;
  begin(session: { userId: number; sessionId: string; tokenHash: string; expiresAt: Date }): Promise<void>;
  /** Takes a refresh token, which is good for one use, and puts the next in its place, in one step. */
  renew(use: { tokenHash: string; nextHash: string; nextExpiresAt: Date }): Promise<RenewOutcome>;
  /** No token of the session counts any more; `expiresAt` is when the last would have ended. */
  end(sessionId: string, expiresAt: Date): Promise<void>;
  /** The session to which a refresh token belongs. */
  sessionOf(tokenHash: string): Promise<string | undefined>;
}

export interface Passwords {
  hash(password: string): Promise<string>;
  matches(hash: string, password: string): Promise<boolean>;
}

export interface SessionsOptions {
  readonly records: SessionRecords;
  readonly passwords: Passwords;
  readonly tokens: AccessTokens;
  /** By name and address. */
  readonly attempts: Attempts;
  /** By address alone, whatever the names. */
  readonly attemptsPerAddress: Attempts;
  /** How long a session can be continued without a password; each continuation begins it anew. */
  readonly maxRefreshMs: number;
  readonly accessLifetimeMs: number;
  /** Sessions or users have changed. */
  readonly onChange: () => Promise<void>;
  /** Unix time in ms. */
  readonly now: () => number;
}

/** What a session is carried on with. */
export interface SessionTokens {
  readonly userId: number;
  readonly name: string;
  readonly token: string;
  readonly expiresAt: Date;
  readonly refreshToken: string;
  readonly refreshExpiresAt: Date;
}

const WRONG = 'incorrect Username or Password';

/** Signing in, staying signed in, signing out. */
export class Sessions {
  readonly #options: SessionsOptions;
  #decoy: Promise<string> | undefined;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /**
   * Takes as long for a name that nobody has as for a wrong password.
   * @throws {UnauthenticatedError} {@link ForbiddenError} for who is disabled, {@link TooManyRequestsError}
   */
  async signIn(name: string, password: string, ip: string): Promise<SessionTokens> {
    const { records, attempts, attemptsPerAddress, passwords, tokens, now, maxRefreshMs } = this.#options;
    const counted = [attempts.begin(`${ip} ${name}`), attemptsPerAddress.begin(ip)];
    const user = await records.userByName(name);
    const hash = user?.passwordHash ?? (await this.#decoyHash());
    const isRight = await passwords.matches(hash, password);
    if (user?.passwordHash === undefined || user.passwordHash === null || !isRight)
      throw new UnauthenticatedError(WRONG);
    for (const attempt of counted) attempt.succeeded();
    if (user.state !== 'enable') throw new ForbiddenError('this user is disabled');
    const sessionId = randomUUID();
    const refreshToken = makeToken('refresh').reveal();
    const refreshExpiresAt = new Date(now() + maxRefreshMs);
    await records.begin({
      userId: user.id,
      sessionId,
      tokenHash: hashToken(refreshToken),
      expiresAt: refreshExpiresAt,
    });
    const { token, expiresAt } = await tokens.sign(user.id, sessionId);
    return { userId: user.id, name: user.name, token, expiresAt, refreshToken, refreshExpiresAt };
  }

  /** @throws {UnauthenticatedError} {@link ForbiddenError} {@link TooManyRequestsError} */
  async refresh(shown: string | undefined, ip: string): Promise<SessionTokens> {
    const { records, attemptsPerAddress, tokens, now, maxRefreshMs } = this.#options;
    const counted = attemptsPerAddress.begin(ip);
    if (shown === undefined || shown === '') throw new UnauthenticatedError('the session is over, sign in again');
    const refreshToken = makeToken('refresh').reveal();
    const refreshExpiresAt = new Date(now() + maxRefreshMs);
    const outcome = await records.renew({
      tokenHash: hashToken(shown),
      nextHash: hashToken(refreshToken),
      nextExpiresAt: refreshExpiresAt,
    });
    if (outcome.kind === 'reused') await this.#end(outcome.sessionId);
    if (outcome.kind !== 'renewed') throw new UnauthenticatedError('the session is over, sign in again');
    counted.succeeded();
    const user = await records.userById(outcome.userId);
    if (user === undefined) throw new UnauthenticatedError('the session is over, sign in again');
    if (user.state !== 'enable') {
      await this.#end(outcome.sessionId);
      throw new ForbiddenError('this user is disabled');
    }
    const { token, expiresAt } = await tokens.sign(user.id, outcome.sessionId);
    return { userId: user.id, name: user.name, token, expiresAt, refreshToken, refreshExpiresAt };
  }

  /** Ends the session of whatever was shown; says nothing when there is none, since the caller wants nothing more. */
  async signOut(shown: {
    readonly token: string | undefined;
    readonly refreshToken: string | undefined;
  }): Promise<void> {
    const { records, tokens } = this.#options;
    const ended = new Set<string>();
    if (shown.token !== undefined && shown.token !== '') {
      const claims = await tokens.read(shown.token, { mayBeOver: true }).catch(() => undefined);
      if (claims !== undefined) ended.add(claims.sessionId);
    }
    if (shown.refreshToken !== undefined && shown.refreshToken !== '') {
      const sessionId = await records.sessionOf(hashToken(shown.refreshToken));
      if (sessionId !== undefined) ended.add(sessionId);
    }
    for (const sessionId of ended) await this.#end(sessionId);
  }

  async #end(sessionId: string): Promise<void> {
    const { records, onChange, accessLifetimeMs, now } = this.#options;
    // Longer than any access token of it that is about.
    await records.end(sessionId, new Date(now() + 2 * accessLifetimeMs));
    await onChange();
  }

  #decoyHash(): Promise<string> {
    return (this.#decoy ??= this.#options.passwords.hash(makeToken('refresh').reveal()));
  }
}

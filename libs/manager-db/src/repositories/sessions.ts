import { and, eq, gt, isNull, lt } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import { refreshTokens, revokedSessions } from '../schema/index.ts';
import { asked } from '../translate-error.ts';

/** A refresh token that was shown. */
export type RenewOutcome =
  | { readonly kind: 'renewed'; readonly userId: number; readonly sessionId: string }
  /** It was used before: there is a copy about. */
  | { readonly kind: 'reused'; readonly userId: number; readonly sessionId: string }
  | { readonly kind: 'unknown' };

/** Who has signed in. A session is a family of refresh tokens, each good for one use. */
export class SessionRepository {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  async begin(
    session: {
      readonly userId: number;
      readonly sessionId: string;
      readonly tokenHash: string;
      readonly expiresAt: Date;
    },
    now: Date,
  ): Promise<void> {
    const { sessionId: familyId, ...values } = session;
    await asked(this.#db.insert(refreshTokens).values({ ...values, familyId, createdAt: now }));
  }

  /** Takes a token and puts the next one in its place. Run it in a transaction. */
  async renew(
    use: { readonly tokenHash: string; readonly nextHash: string; readonly nextExpiresAt: Date },
    now: Date,
  ): Promise<RenewOutcome> {
    const { tokenHash, nextHash, nextExpiresAt } = use;
    const isFresh = and(isNull(refreshTokens.usedAt), gt(refreshTokens.expiresAt, now));
    const isIt = eq(refreshTokens.tokenHash, tokenHash);
    const [taken] = await asked(
      this.#db.update(refreshTokens).set({ usedAt: now }).where(and(isIt, isFresh)).returning(),
    );
    if (taken === undefined) {
      const [known] = await asked(this.#db.select().from(refreshTokens).where(isIt));
      if (known === undefined || known.usedAt === null) return { kind: 'unknown' };
      return { kind: 'reused', userId: known.userId, sessionId: known.familyId };
    }
    const { userId, familyId } = taken;
    if (await this.isRevoked(familyId)) return { kind: 'unknown' };
    const next = { userId, familyId, tokenHash: nextHash, expiresAt: nextExpiresAt, createdAt: now };
    await asked(this.#db.insert(refreshTokens).values(next));
    return { kind: 'renewed', userId, sessionId: familyId };
  }

  /** Nothing of the session counts any more. Remembered until `expiresAt`, when its last access token has ended by itself. */
  async end(sessionId: string, expiresAt: Date): Promise<void> {
    await asked(this.#db.delete(refreshTokens).where(eq(refreshTokens.familyId, sessionId)));
    await asked(this.#db.insert(revokedSessions).values({ sessionId, expiresAt }).onConflictDoNothing());
  }

  /** Ends all sessions of a user. */
  async endAllOf(userId: number, expiresAt: Date): Promise<void> {
    const families = await asked(
      this.#db
        .selectDistinct({ sessionId: refreshTokens.familyId })
        .from(refreshTokens)
        .where(eq(refreshTokens.userId, userId)),
    );
    for (const { sessionId } of families) await this.end(sessionId, expiresAt);
  }

  async isRevoked(sessionId: string): Promise<boolean> {
    const is = eq(revokedSessions.sessionId, sessionId);
    return (await asked(this.#db.select().from(revokedSessions).where(is))).length > 0;
  }

  /** The session to which a refresh token belongs. */
  async sessionOf(tokenHash: string): Promise<string | undefined> {
    const [row] = await asked(
      this.#db
        .select({ sessionId: refreshTokens.familyId })
        .from(refreshTokens)
        .where(eq(refreshTokens.tokenHash, tokenHash)),
    );
    return row?.sessionId;
  }

  async removeExpired(now: Date): Promise<void> {
    await asked(this.#db.delete(refreshTokens).where(lt(refreshTokens.expiresAt, now)));
    await asked(this.#db.delete(revokedSessions).where(lt(revokedSessions.expiresAt, now)));
  }
}

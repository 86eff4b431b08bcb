import { index, pgTable, uuid } from 'drizzle-orm/pg-core';
import { moment } from './columns.ts';

/** Access tokens that were signed out before they expired; kept until then. */
export const revokedSessions = pgTable(
  'revoked_session',
  {
    /** The `sid` claim: family of the refresh tokens that the session belongs to. */
    sessionId: uuid('session_id').primaryKey(),
    expiresAt: moment('expires_at').notNull(),
  },
  (table) => [index('revoked_session_by_expiry').on(table.expiresAt)],
);

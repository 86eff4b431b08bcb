import { char, index, pgTable, uuid } from 'drizzle-orm/pg-core';
import { identity, moment, reference } from './columns.ts';
import { users } from './user.ts';

/** A sign-in that may be prolonged. Each use replaces the token by the next of its family; a second use ends the family. */
export const refreshTokens = pgTable(
  'refresh_token',
  {
    id: identity(),
    createdAt: moment('created_at').notNull().defaultNow(),
    /** SHA-256, in hex. */
    tokenHash: char('token_hash', { length: 64 }).notNull().unique(),
    familyId: uuid('family_id').notNull(),
    userId: reference('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    expiresAt: moment('expires_at').notNull(),
    usedAt: moment('used_at'),
  },
  (table) => [
    index('refresh_token_by_family').on(table.familyId),
    index('refresh_token_by_user').on(table.userId),
    index('refresh_token_by_expiry').on(table.expiresAt),
  ],
);

import { char, index, pgTable, text, varchar } from 'drizzle-orm/pg-core';
import { identity, moment, name, reference, text1024, times } from './columns.ts';
import { users } from './user.ts';

/** A token for programs. It is shown once, when it is made; what is kept can only recognise it. */
export const personalAccessTokens = pgTable(
  'personal_access_token',
  {
    id: identity(),
    ...times(),
    name: name().notNull().unique(),
    bio: text1024('bio'),
    /** SHA-256, in hex. */
    tokenHash: char('token_hash', { length: 64 }).notNull().unique(),
    /** First characters, by which its owner tells it from others. */
    tokenPrefix: varchar('token_prefix', { length: 16 }).notNull(),
    scopes: text('scopes').array().notNull(),
    state: text('state', { enum: ['active', 'inactive'] })
      .notNull()
      .default('active'),
    expiredAt: moment('expired_at').notNull(),
    lastUsedAt: moment('last_used_at'),
    userId: reference('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
  },
  (table) => [index('personal_access_token_by_user').on(table.userId)],
);

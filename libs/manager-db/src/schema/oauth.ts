import { pgTable, text, varchar } from 'drizzle-orm/pg-core';
import { identity, name, text1024, times } from './columns.ts';

/** An identity provider at which users may sign in. */
export const oauths = pgTable('oauth', {
  id: identity(),
  ...times(),
  name: name().notNull().unique(),
  bio: text1024('bio'),
  clientId: varchar('client_id', { length: 256 }).notNull().unique(),
  /** See sealer.ts. */
  sealedClientSecret: text('sealed_client_secret').notNull(),
  redirectUrl: text1024('redirect_url'),
});

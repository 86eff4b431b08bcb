import { pgTable, varchar } from 'drizzle-orm/pg-core';
import { identity, name, reference, text1024, times } from './columns.ts';
import { users } from './user.ts';

/** A named setting that can be changed while managers run; its value is a text, for `gc` of JSON. */
export const configs = pgTable('config', {
  id: identity(),
  ...times(),
  name: name().notNull().unique(),
  value: varchar('value', { length: 1024 }).notNull(),
  bio: text1024('bio'),
  userId: reference('user_id').references(() => users.id, { onDelete: 'set null' }),
});

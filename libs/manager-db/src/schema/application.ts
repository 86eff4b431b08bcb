import { jsonb, pgTable } from 'drizzle-orm/pg-core';
import { identity, name, reference, text1024, times } from './columns.ts';
import type { ApplicationPriority } from './documents.ts';
import { users } from './user.ts';

/** Which priority the downloads of an application have. */
export const applications = pgTable('application', {
  id: identity(),
  ...times(),
  name: name().notNull().unique(),
  url: text1024('url'),
  bio: text1024('bio'),
  priority: jsonb('priority').$type<ApplicationPriority>(),
  userId: reference('user_id').references(() => users.id, { onDelete: 'set null' }),
});

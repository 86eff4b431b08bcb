import type { AnswerOf } from '@d7y/manager-api';
import type { schema } from '@d7y/manager-db';
import { storedFields } from './stored.ts';

type UserRow = typeof schema.users.$inferSelect;

/** A user as others may see it: never its password. */
export const toUser = (row: UserRow): AnswerOf<'users.get'> => ({
  ...storedFields(row),
  email: row.email ?? '',
  name: row.name,
  avatar: row.avatar,
  phone: row.phone,
  state: row.state,
  location: row.location,
  bio: row.bio,
  configs: null,
});

import { pgTable, text, unique, varchar } from 'drizzle-orm/pg-core';
import { identity, moment, name, text1024, times } from './columns.ts';

/** A person or a machine that signs in. The word `user` is taken in SQL, hence the plural. */
export const users = pgTable(
  'users',
  {
    id: identity(),
    ...times(),
    name: name().notNull().unique(),
    email: name('email').unique(),
    /** See password-hash.ts; absent for who signs in elsewhere only. */
    passwordHash: varchar('password_hash', { length: 1024 }),
    passwordChangedAt: moment('password_changed_at'),
    state: text('state', { enum: ['enable', 'disable'] })
      .notNull()
      .default('enable'),
    avatar: text1024('avatar'),
    phone: text1024('phone'),
    location: text1024('location'),
    bio: text1024('bio'),
    /** Name of the identity provider, and what that calls this user. */
    provider: name('provider'),
    providerSubject: name('provider_subject'),
  },
  (table) => [unique('user_at_provider').on(table.provider, table.providerSubject)],
);

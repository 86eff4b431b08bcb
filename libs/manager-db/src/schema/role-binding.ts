import { index, pgTable, primaryKey } from 'drizzle-orm/pg-core';
import { reference } from './columns.ts';
import { roles } from './role.ts';
import { users } from './user.ts';

/** Who has which role. */
export const roleBindings = pgTable(
  'role_binding',
  {
    userId: reference('user_id')
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    roleId: reference('role_id')
      .notNull()
      .references(() => roles.id, { onDelete: 'cascade' }),
  },
  (table) => [primaryKey({ columns: [table.userId, table.roleId] }), index('role_binding_by_role').on(table.roleId)],
);

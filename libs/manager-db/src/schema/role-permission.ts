import { pgTable, primaryKey, text, varchar } from 'drizzle-orm/pg-core';
import { reference } from './columns.ts';
import { roles } from './role.ts';

/** What a role may do: `read` or everything on one group of routes. */
export const rolePermissions = pgTable(
  'role_permission',
  {
    roleId: reference('role_id')
      .notNull()
      .references(() => roles.id, { onDelete: 'cascade' }),
    /** First segment of the path below the version, such as `clusters`; `*` is all of them. */
    object: varchar('object', { length: 100 }).notNull(),
    action: text('action', { enum: ['read', '*'] }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.roleId, table.object, table.action] })],
);

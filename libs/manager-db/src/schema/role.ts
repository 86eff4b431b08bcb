import { pgTable } from 'drizzle-orm/pg-core';
import { identity, name, times } from './columns.ts';

export const roles = pgTable('role', { id: identity(), ...times(), name: name().notNull().unique() });

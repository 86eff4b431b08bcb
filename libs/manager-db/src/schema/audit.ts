import { index, integer, jsonb, pgTable, text, varchar } from 'drizzle-orm/pg-core';
import { identity, moment, name, text1024, times } from './columns.ts';
import type { JsonObject } from './documents.ts';

/** Who did what. Rows are only added, and removed when they are old. */
export const audits = pgTable(
  'audit',
  {
    id: identity(),
    ...times(),
    actorType: text('actor_type', { enum: ['UNKNOWN', 'USER', 'PAT'] }).notNull(),
    actorName: name('actor_name').notNull().default(''),
    eventType: varchar('event_type', { length: 100 }).notNull().default('API'),
    /** The method of the request. */
    operation: varchar('operation', { length: 100 }).notNull(),
    operatedAt: moment('operated_at').notNull(),
    state: text('state', { enum: ['SUCCESS', 'FAILURE'] }).notNull(),
    path: text1024('path'),
    statusCode: integer('status_code').notNull(),
    detail: jsonb('detail').$type<JsonObject>().notNull().default({}),
  },
  (table) => [
    index('audit_by_creation').on(table.createdAt),
    index('audit_by_actor').on(table.actorName, table.createdAt),
  ],
);

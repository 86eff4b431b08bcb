import { index, integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core';
import { identity, moment, reference } from './columns.ts';
import type { JsonObject } from './documents.ts';
import { jobs } from './job.ts';

/** What the queue has yet to be told; written with the job, removed once the queue has it. */
export const jobOutbox = pgTable(
  'job_outbox',
  {
    id: identity(),
    createdAt: moment('created_at').notNull().defaultNow(),
    jobId: reference('job_id')
      .notNull()
      .references(() => jobs.id, { onDelete: 'cascade' }),
    kind: text('kind', { enum: ['enqueue', 'cancel'] }).notNull(),
    /** For the queue: no credentials. */
    payload: jsonb('payload').$type<JsonObject>().notNull().default({}),
    attempts: integer('attempts').notNull().default(0),
    /** Not to be tried before. */
    dueAt: moment('due_at').notNull().defaultNow(),
    lastError: text('last_error'),
  },
  (table) => [index('job_outbox_due').on(table.dueAt), index('job_outbox_by_job').on(table.jobId)],
);

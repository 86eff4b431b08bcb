import { sql } from 'drizzle-orm';
import { char, index, integer, jsonb, pgTable, text, uniqueIndex, varchar } from 'drizzle-orm/pg-core';
import { identity, moment, reference, text1024, times } from './columns.ts';
import type { JsonObject } from './documents.ts';
import { users } from './user.ts';

/** Work that was asked for. Its credentials lie apart, sealed. */
export const jobs = pgTable(
  'job',
  {
    id: identity(),
    ...times(),
    /** `group_<uuid>`. */
    taskId: varchar('task_id', { length: 256 }).notNull().unique(),
    bio: text1024('bio'),
    type: varchar('type', { length: 64 }).notNull(),
    /** What clients wait for; they know no other state. */
    state: text('state', { enum: ['PENDING', 'SUCCESS', 'FAILURE'] })
      .notNull()
      .default('PENDING'),
    /** Where it is on its way: PENDING, RECEIVED, STARTED, RETRY, SUCCESS, FAILURE, CANCELLED. */
    phase: varchar('phase', { length: 32 }).notNull().default('PENDING'),
    /** As asked for, without credentials. */
    args: jsonb('args').$type<JsonObject>().notNull(),
    /** As clients read it; null before there is anything to tell. */
    result: jsonb('result').$type<JsonObject>(),
    /** Counts while it runs. */
    progress: jsonb('progress').$type<JsonObject>(),
    /** How often it was started; what an earlier attempt still reports is ignored. */
    attempt: integer('attempt').notNull().default(1),
    /** Why it failed, in words. */
    error: text('error'),
    /** SHA-256 of the request without credentials: the same request joins the job while that is pending. */
    dedupKey: char('dedup_key', { length: 64 }),
    /** SHA-256 of who asked and the `Idempotency-Key`; taken away after a day. */
    idempotencyKey: char('idempotency_key', { length: 64 }),
    /** The trace that the request began. */
    traceparent: varchar('traceparent', { length: 64 }),
    deadlineAt: moment('deadline_at'),
    startedAt: moment('started_at'),
    finishedAt: moment('finished_at'),
    cancelRequestedAt: moment('cancel_requested_at'),
    userId: reference('user_id').references(() => users.id, { onDelete: 'set null' }),
  },
  (table) => [
    index('job_by_type').on(table.type, table.state, table.createdAt.desc()),
    index('job_by_creation').on(table.createdAt.desc()),
    index('job_unfinished')
      .on(table.updatedAt)
      .where(sql`${table.state} = 'PENDING'`),
    uniqueIndex('job_single_pending')
      .on(table.dedupKey)
      .where(sql`${table.state} = 'PENDING'`),
    uniqueIndex('job_idempotency').on(table.idempotencyKey),
  ],
);

import { index, pgTable, text } from 'drizzle-orm/pg-core';
import { moment, reference } from './columns.ts';
import { jobs } from './job.ts';

/** Credentials of a job, sealed with the job's id; removed when it ends, at the latest when they expire. */
export const jobSecrets = pgTable(
  'job_secret',
  {
    jobId: reference('job_id')
      .primaryKey()
      .references(() => jobs.id, { onDelete: 'cascade' }),
    createdAt: moment('created_at').notNull().defaultNow(),
    /** See sealer.ts; names its key. */
    sealed: text('sealed').notNull(),
    expiresAt: moment('expires_at').notNull(),
  },
  (table) => [index('job_secret_by_expiry').on(table.expiresAt)],
);

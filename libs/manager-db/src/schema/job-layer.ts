import { bigint, index, integer, pgTable, primaryKey, text, varchar } from 'drizzle-orm/pg-core';
import { moment, reference } from './columns.ts';
import { jobs } from './job.ts';
import { schedulerClusters } from './scheduler-cluster.ts';

/** One blob or file that a job brings to one cluster. */
export const jobLayers = pgTable(
  'job_layer',
  {
    jobId: reference('job_id')
      .notNull()
      .references(() => jobs.id, { onDelete: 'cascade' }),
    schedulerClusterId: reference('scheduler_cluster_id')
      .notNull()
      .references(() => schedulerClusters.id, { onDelete: 'cascade' }),
    taskId: varchar('task_id', { length: 256 }).notNull(),
    url: text('url').notNull(),
    /** Empty for a file of which none is known. */
    digest: varchar('digest', { length: 256 }).notNull().default(''),
    mediaType: varchar('media_type', { length: 256 }).notNull().default(''),
    /** Length in bytes, when known. */
    bytes: bigint('bytes', { mode: 'number' }),
    /** The platforms, as os/arch[/variant], that need it. */
    platforms: text('platforms').array().notNull().default([]),
    state: text('state', { enum: ['PENDING', 'STARTED', 'RETRY', 'SUCCESS', 'FAILURE', 'CANCELLED'] })
      .notNull()
      .default('PENDING'),
    attempts: integer('attempts').notNull().default(0),
    error: text('error'),
    startedAt: moment('started_at'),
    finishedAt: moment('finished_at'),
  },
  (table) => [
    primaryKey({ columns: [table.jobId, table.schedulerClusterId, table.taskId] }),
    index('job_layer_by_cluster').on(table.schedulerClusterId),
  ],
);

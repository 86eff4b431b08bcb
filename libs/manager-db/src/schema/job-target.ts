import { bigint, foreignKey, index, integer, pgTable, primaryKey, text, varchar } from 'drizzle-orm/pg-core';
import { moment, name, reference } from './columns.ts';
import { jobLayers } from './job-layer.ts';

/** What became of one layer on one host. */
export const jobTargets = pgTable(
  'job_target',
  {
    jobId: reference('job_id').notNull(),
    schedulerClusterId: reference('scheduler_cluster_id').notNull(),
    taskId: varchar('task_id', { length: 256 }).notNull(),
    hostId: name('host_id').notNull(),
    hostname: name('hostname').notNull(),
    ip: name('ip').notNull(),
    state: text('state', { enum: ['PENDING', 'STARTED', 'SUCCESS', 'FAILURE', 'CANCELLED'] })
      .notNull()
      .default('PENDING'),
    attempts: integer('attempts').notNull().default(0),
    error: text('error'),
    /** Bytes that it holds. */
    bytes: bigint('bytes', { mode: 'number' }).notNull().default(0),
    startedAt: moment('started_at'),
    finishedAt: moment('finished_at'),
  },
  (table) => [
    primaryKey({ columns: [table.jobId, table.schedulerClusterId, table.taskId, table.hostId] }),
    foreignKey({
      name: 'job_target_layer',
      columns: [table.jobId, table.schedulerClusterId, table.taskId],
      foreignColumns: [jobLayers.jobId, jobLayers.schedulerClusterId, jobLayers.taskId],
    }).onDelete('cascade'),
    index('job_target_by_state').on(table.jobId, table.state),
  ],
);

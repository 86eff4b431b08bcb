import { foreignKey, index, pgTable, primaryKey } from 'drizzle-orm/pg-core';
import { reference } from './columns.ts';
import { jobs } from './job.ts';
import { schedulerClusters } from './scheduler-cluster.ts';

/** The clusters in which a job works. */
export const jobSchedulerClusters = pgTable(
  'job_scheduler_cluster',
  {
    jobId: reference('job_id').notNull(),
    schedulerClusterId: reference('scheduler_cluster_id').notNull(),
  },
  (table) => [
    primaryKey({ name: 'job_scheduler_cluster_pk', columns: [table.jobId, table.schedulerClusterId] }),
    foreignKey({
      name: 'job_scheduler_cluster_job',
      columns: [table.jobId],
      foreignColumns: [jobs.id],
    }).onDelete('cascade'),
    foreignKey({
      name: 'job_scheduler_cluster_cluster',
      columns: [table.schedulerClusterId],
      foreignColumns: [schedulerClusters.id],
    }).onDelete('cascade'),
    index('job_scheduler_cluster_by_cluster').on(table.schedulerClusterId),
  ],
);

import { foreignKey, index, pgTable, primaryKey } from 'drizzle-orm/pg-core';
import { reference } from './columns.ts';
import { jobs } from './job.ts';
import { seedPeerClusters } from './seed-peer-cluster.ts';

/** The clusters of seed peers that a job named. */
export const jobSeedPeerClusters = pgTable(
  'job_seed_peer_cluster',
  {
    jobId: reference('job_id').notNull(),
    seedPeerClusterId: reference('seed_peer_cluster_id').notNull(),
  },
  (table) => [
    primaryKey({ name: 'job_seed_peer_cluster_pk', columns: [table.jobId, table.seedPeerClusterId] }),
    foreignKey({
      name: 'job_seed_peer_cluster_job',
      columns: [table.jobId],
      foreignColumns: [jobs.id],
    }).onDelete('cascade'),
    foreignKey({
      name: 'job_seed_peer_cluster_cluster',
      columns: [table.seedPeerClusterId],
      foreignColumns: [seedPeerClusters.id],
    }).onDelete('cascade'),
    index('job_seed_peer_cluster_by_cluster').on(table.seedPeerClusterId),
  ],
);

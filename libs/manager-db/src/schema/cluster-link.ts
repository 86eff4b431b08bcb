import { foreignKey, index, pgTable, primaryKey } from 'drizzle-orm/pg-core';
import { reference } from './columns.ts';
import { schedulerClusters } from './scheduler-cluster.ts';
import { seedPeerClusters } from './seed-peer-cluster.ts';

/** Which seed peers serve which schedulers. */
export const clusterLinks = pgTable(
  'seed_peer_cluster_scheduler_cluster',
  {
    seedPeerClusterId: reference('seed_peer_cluster_id').notNull(),
    schedulerClusterId: reference('scheduler_cluster_id').notNull(),
  },
  (table) => [
    primaryKey({ name: 'cluster_link_pk', columns: [table.seedPeerClusterId, table.schedulerClusterId] }),
    foreignKey({
      name: 'cluster_link_seed_peer_cluster',
      columns: [table.seedPeerClusterId],
      foreignColumns: [seedPeerClusters.id],
    }).onDelete('cascade'),
    foreignKey({
      name: 'cluster_link_scheduler_cluster',
      columns: [table.schedulerClusterId],
      foreignColumns: [schedulerClusters.id],
    }).onDelete('cascade'),
    index('cluster_link_by_scheduler_cluster').on(table.schedulerClusterId),
  ],
);

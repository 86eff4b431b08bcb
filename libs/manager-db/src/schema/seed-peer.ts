import { index, integer, pgTable, unique } from 'drizzle-orm/pg-core';
import { identity, moment, name, portNumber, reference, text1024, times } from './columns.ts';
import { seedPeerClusters } from './seed-peer-cluster.ts';

/** A registered seed peer. Its state is not stored: it is active while `active_until` lies ahead. */
export const seedPeers = pgTable(
  'seed_peer',
  {
    id: identity(),
    ...times(),
    hostName: name('host_name').notNull(),
    type: name('type').notNull().default('super'),
    ip: name('ip').notNull(),
    port: portNumber('port'),
    downloadPort: portNumber('download_port'),
    objectStoragePort: integer('object_storage_port').notNull().default(0),
    idc: text1024('idc'),
    location: text1024('location'),
    keepAliveIntervalMs: integer('keep_alive_interval_ms').notNull().default(5000),
    lastKeepAliveAt: moment('last_keep_alive_at'),
    activeUntil: moment('active_until'),
    seedPeerClusterId: reference('seed_peer_cluster_id')
      .notNull()
      .references(() => seedPeerClusters.id),
  },
  (table) => [
    unique('seed_peer_identity').on(table.hostName, table.ip, table.seedPeerClusterId),
    index('seed_peer_by_cluster').on(table.seedPeerClusterId),
  ],
);

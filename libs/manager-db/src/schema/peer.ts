import { index, integer, pgTable, text, unique } from 'drizzle-orm/pg-core';
import { identity, moment, name, portNumber, reference, text1024, times } from './columns.ts';
import { schedulerClusters } from './scheduler-cluster.ts';

/** A daemon as a scheduler told of it; brought up to date by the synchronisation of peers. */
export const peers = pgTable(
  'peer',
  {
    id: identity(),
    ...times(),
    hostName: name('host_name').notNull(),
    type: text('type', { enum: ['super', 'normal'] }).notNull(),
    ip: name('ip').notNull(),
    port: portNumber('port'),
    downloadPort: portNumber('download_port'),
    proxyPort: integer('proxy_port').notNull().default(0),
    objectStoragePort: integer('object_storage_port').notNull().default(0),
    idc: text1024('idc'),
    location: text1024('location'),
    state: text('state', { enum: ['active', 'inactive'] })
      .notNull()
      .default('inactive'),
    os: text1024('os'),
    platform: text1024('platform'),
    platformFamily: text1024('platform_family'),
    platformVersion: text1024('platform_version'),
    kernelVersion: text1024('kernel_version'),
    gitVersion: text1024('git_version'),
    gitCommit: text1024('git_commit'),
    buildPlatform: text1024('build_platform'),
    lastSeenAt: moment('last_seen_at').notNull().defaultNow(),
    schedulerClusterId: reference('scheduler_cluster_id')
      .notNull()
      .references(() => schedulerClusters.id, { onDelete: 'cascade' }),
  },
  (table) => [
    unique('peer_identity').on(table.hostName, table.ip, table.schedulerClusterId),
    index('peer_by_cluster').on(table.schedulerClusterId, table.lastSeenAt),
    index('peer_by_type').on(table.type),
    index('peer_by_git_version').on(table.gitVersion, table.gitCommit),
  ],
);

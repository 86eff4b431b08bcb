import { index, integer, jsonb, pgTable, text, unique } from 'drizzle-orm/pg-core';
import { identity, moment, name, portNumber, reference, text1024, times } from './columns.ts';
import type { SchedulerConfigDocument } from './documents.ts';
import { schedulerClusters } from './scheduler-cluster.ts';

/** A registered scheduler. Its state is not stored: it is active while `active_until` lies ahead. */
export const schedulers = pgTable(
  'scheduler',
  {
    id: identity(),
    ...times(),
    hostName: name('host_name').notNull(),
    ip: name('ip').notNull(),
    port: portNumber('port'),
    idc: text1024('idc'),
    location: text1024('location'),
    config: jsonb('config').$type<SchedulerConfigDocument>().notNull().default({}),
    features: text('features').array().notNull().default([]),
    /** How often it keeps itself alive. */
    keepAliveIntervalMs: integer('keep_alive_interval_ms').notNull().default(5000),
    lastKeepAliveAt: moment('last_keep_alive_at'),
    activeUntil: moment('active_until'),
    schedulerClusterId: reference('scheduler_cluster_id')
      .notNull()
      .references(() => schedulerClusters.id),
  },
  (table) => [
    unique('scheduler_identity').on(table.hostName, table.ip, table.schedulerClusterId),
    index('scheduler_by_cluster').on(table.schedulerClusterId),
  ],
);

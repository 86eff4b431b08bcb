import { sql } from 'drizzle-orm';
import { boolean, jsonb, pgTable, uniqueIndex } from 'drizzle-orm/pg-core';
import { identity, name, text1024, times } from './columns.ts';
import type { ClientConfig, ClusterScopes, SchedulerClusterConfig } from './documents.ts';

/** Schedulers that share their daemons. At most one cluster is the default. */
export const schedulerClusters = pgTable(
  'scheduler_cluster',
  {
    id: identity(),
    ...times(),
    name: name().notNull().unique(),
    bio: text1024('bio'),
    config: jsonb('config').$type<SchedulerClusterConfig>().notNull(),
    clientConfig: jsonb('client_config').$type<ClientConfig>().notNull(),
    seedClientConfig: jsonb('seed_client_config').$type<ClientConfig>().notNull(),
    scopes: jsonb('scopes').$type<ClusterScopes>().notNull().default({}),
    isDefault: boolean('is_default').notNull().default(false),
  },
  (table) => [
    uniqueIndex('scheduler_cluster_single_default')
      .on(table.isDefault)
      .where(sql`${table.isDefault}`),
  ],
);

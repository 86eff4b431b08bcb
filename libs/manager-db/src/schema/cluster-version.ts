import { sql } from 'drizzle-orm';
import { bigint, boolean, check, pgTable } from 'drizzle-orm/pg-core';

/**
 * One row that counts the changes of clusters, links, schedulers and seed peers, so that who keeps them in memory sees when to read them
 * anew. Triggers count, at commit (see the migration); a keep-alive that changes no state is no change.
 */
export const clusterVersion = pgTable(
  'cluster_version',
  {
    single: boolean('single').primaryKey().default(true),
    version: bigint('version', { mode: 'number' }).notNull().default(1),
  },
  (table) => [check('cluster_version_single', sql`${table.single}`)],
);

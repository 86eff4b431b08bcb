import { jsonb, pgTable } from 'drizzle-orm/pg-core';
import { identity, name, text1024, times } from './columns.ts';
import type { SeedPeerClusterConfig } from './documents.ts';

export const seedPeerClusters = pgTable('seed_peer_cluster', {
  id: identity(),
  ...times(),
  name: name().notNull().unique(),
  bio: text1024('bio'),
  config: jsonb('config').$type<SeedPeerClusterConfig>().notNull(),
});

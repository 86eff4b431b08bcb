import { bigint, index, integer, pgTable, primaryKey, text, varchar } from 'drizzle-orm/pg-core';
import { moment, name, reference, text1024 } from './columns.ts';
import { schedulerClusters } from './scheduler-cluster.ts';

/** Tasks that schedulers told of, also after they have forgotten them. */
export const taskHistory = pgTable(
  'task_history',
  {
    schedulerClusterId: reference('scheduler_cluster_id')
      .notNull()
      .references(() => schedulerClusters.id, { onDelete: 'cascade' }),
    taskId: varchar('task_id', { length: 256 }).notNull(),
    url: text('url').notNull().default(''),
    type: name('type').notNull().default(''),
    tag: text1024('tag'),
    application: text1024('application'),
    state: name('state').notNull(),
    /** Bytes; null while unknown. */
    contentLength: bigint('content_length', { mode: 'number' }),
    pieceLength: bigint('piece_length', { mode: 'number' }),
    pieceCount: integer('piece_count'),
    peerCount: integer('peer_count').notNull().default(0),
    seedPeerCount: integer('seed_peer_count').notNull().default(0),
    firstSeenAt: moment('first_seen_at').notNull(),
    lastSeenAt: moment('last_seen_at').notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.schedulerClusterId, table.taskId] }),
    index('task_history_by_last_sight').on(table.lastSeenAt.desc()),
  ],
);

import type { AnswerOf } from '@d7y/manager-api';
import type { schema } from '@d7y/manager-db';
import { documentOf, storedFields } from './stored.ts';

export type SchedulerClusterRow = typeof schema.schedulerClusters.$inferSelect;
export type SeedPeerClusterRow = typeof schema.seedPeerClusters.$inferSelect;
type BareSchedulerCluster = AnswerOf<'schedulers.get'>['scheduler_cluster'];
type BareSeedPeerCluster = AnswerOf<'seedPeers.get'>['seed_peer_cluster'];

/** A cluster of schedulers and the one of seed peers that belongs to it, as one. */
export const toCluster = (
  row: SchedulerClusterRow,
  seeds: SeedPeerClusterRow | undefined,
): AnswerOf<'clusters.get'> => ({
  id: row.id,
  name: row.name,
  bio: row.bio,
  scopes: documentOf(row.scopes),
  scheduler_cluster_id: row.id,
  seed_peer_cluster_id: seeds?.id ?? 0,
  scheduler_cluster_config: documentOf(row.config),
  seed_peer_cluster_config: documentOf(seeds?.config ?? {}),
  peer_cluster_config: documentOf(row.clientConfig),
  created_at: row.createdAt.toISOString(),
  updated_at: row.updatedAt.toISOString(),
  is_default: row.isDefault,
});

const schedulerClusterFields = (row: SchedulerClusterRow) => ({
  ...storedFields(row),
  name: row.name,
  bio: row.bio,
  config: documentOf(row.config),
  client_config: documentOf(row.clientConfig),
  seed_client_config: documentOf(row.seedClientConfig),
  scopes: documentOf(row.scopes),
  is_default: row.isDefault,
});

export const toBareSchedulerCluster = (row: SchedulerClusterRow): BareSchedulerCluster => ({
  ...schedulerClusterFields(row),
  ...{ seed_peer_clusters: null, schedulers: null, peers: null, jobs: null },
});

const seedPeerClusterFields = (row: SeedPeerClusterRow) => ({
  ...storedFields(row),
  name: row.name,
  bio: row.bio,
  config: documentOf(row.config),
});

export const toBareSeedPeerCluster = (row: SeedPeerClusterRow): BareSeedPeerCluster => ({
  ...seedPeerClusterFields(row),
  ...{ scheduler_clusters: null, seed_peer: null, jobs: null },
});

/** With the rows that belong to it, where they were read. */
export const toSchedulerCluster = (
  row: SchedulerClusterRow,
  related: { readonly seeds: readonly SeedPeerClusterRow[]; readonly schedulers: readonly SchedulerRow[] } | undefined,
  now: Date,
): AnswerOf<'schedulerClusters.get'> => ({
  ...schedulerClusterFields(row),
  seed_peer_clusters: related?.seeds.map(seedPeerClusterFields) ?? null,
  schedulers: related?.schedulers.map((each) => ({ ...schedulerFields(each, now), scheduler_cluster: null })) ?? null,
  ...{ peers: null, jobs: null },
});

export const toSeedPeerCluster = (
  row: SeedPeerClusterRow,
  related: { readonly clusters: readonly SchedulerClusterRow[]; readonly seeds: readonly SeedPeerRow[] } | undefined,
  now: Date,
): AnswerOf<'seedPeerClusters.get'> => ({
  ...seedPeerClusterFields(row),
  scheduler_clusters: related?.clusters.map(toBareSchedulerCluster) ?? null,
  seed_peer: related?.seeds.map((each) => ({ ...seedPeerFields(each, now), seed_peer_cluster: null })) ?? null,
  jobs: null,
});

export type SchedulerRow = typeof schema.schedulers.$inferSelect;
export type SeedPeerRow = typeof schema.seedPeers.$inferSelect;

/** What keeps itself alive is active; that is not written down, so that it is true also when nobody is there to write. */
const stateOf = (activeUntil: Date | null, now: Date) =>
  activeUntil !== null && activeUntil > now ? 'active' : 'inactive';

const schedulerFields = (row: SchedulerRow, now: Date) =>
  ({
    ...storedFields(row),
    config: documentOf(row.config),
    host_name: row.hostName,
    idc: row.idc,
    location: row.location,
    ip: row.ip,
    port: row.port,
    state: stateOf(row.activeUntil, now),
    features: row.features,
    last_keep_alive_at: (row.lastKeepAliveAt ?? row.createdAt).toISOString(),
    scheduler_cluster_id: row.schedulerClusterId,
  }) as const;

export const toScheduler = (
  row: SchedulerRow,
  cluster: SchedulerClusterRow,
  now: Date,
): AnswerOf<'schedulers.get'> => ({
  ...schedulerFields(row, now),
  scheduler_cluster: toBareSchedulerCluster(cluster),
});

const seedPeerFields = (row: SeedPeerRow, now: Date) =>
  ({
    ...storedFields(row),
    host_name: row.hostName,
    type: row.type,
    idc: row.idc,
    location: row.location,
    ip: row.ip,
    port: row.port,
    download_port: row.downloadPort,
    object_storage_port: row.objectStoragePort,
    state: stateOf(row.activeUntil, now),
    seed_peer_cluster_id: row.seedPeerClusterId,
  }) as const;

export const toSeedPeer = (row: SeedPeerRow, cluster: SeedPeerClusterRow, now: Date): AnswerOf<'seedPeers.get'> => ({
  ...seedPeerFields(row, now),
  seed_peer_cluster: toBareSeedPeerCluster(cluster),
});

import { eq, gt } from 'drizzle-orm';
import type { Database, Db } from '../open-database.ts';
import {
  clusterLinks,
  clusterVersion,
  schedulerClusters,
  schedulers,
  seedPeerClusters,
  seedPeers,
} from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import type { SchedulerClusterRow, SchedulerRow, SeedPeerClusterRow, SeedPeerRow } from './rows.ts';

/** A cluster with those of its services that were active when it was read. */
export interface ClusterMembers {
  readonly cluster: SchedulerClusterRow;
  readonly schedulers: readonly SchedulerRow[];
  readonly seedPeerClusters: readonly SeedPeerClusterRow[];
  readonly seedPeers: readonly SeedPeerRow[];
}

/** All clusters at one moment, for who answers many questions about them from memory. */
export interface ClusterSet {
  /** Grows with each change of clusters, links, schedulers or seed peers, and when one of these wakes or ends. */
  readonly version: number;
  readonly clusters: readonly ClusterMembers[];
  /** When the first of the services read stops being active unless it keeps itself alive: not a change that is counted. */
  readonly firstEndsAt: Date | undefined;
}

/** One row by its key: cheap enough to be asked each second. */
export async function readClusterVersion(db: Db): Promise<number> {
  const [row] = await asked(db.select({ version: clusterVersion.version }).from(clusterVersion));
  return row?.version ?? 0;
}

/** Reads all of it in one snapshot, five statements whatever the number of clusters. */
export async function readClusterSet(database: Database, now: Date): Promise<ClusterSet> {
  return await asked(
    database.db.transaction((tx) => read(tx, now), { isolationLevel: 'repeatable read', accessMode: 'read only' }),
  );
}

async function read(tx: Db, now: Date): Promise<ClusterSet> {
  const version = await readClusterVersion(tx);
  const clusters = await tx.select().from(schedulerClusters).orderBy(schedulerClusters.id);
  const active = await tx.select().from(schedulers).where(gt(schedulers.activeUntil, now)).orderBy(schedulers.id);
  const links = await tx
    .select({ schedulerClusterId: clusterLinks.schedulerClusterId, cluster: seedPeerClusters })
    .from(clusterLinks)
    .innerJoin(seedPeerClusters, eq(seedPeerClusters.id, clusterLinks.seedPeerClusterId))
    .orderBy(seedPeerClusters.id);
  const seeds = await tx.select().from(seedPeers).where(gt(seedPeers.activeUntil, now)).orderBy(seedPeers.id);
  const schedulersOf = Map.groupBy(active, ({ schedulerClusterId }) => schedulerClusterId);
  const linksOf = Map.groupBy(links, ({ schedulerClusterId }) => schedulerClusterId);
  const seedsOf = Map.groupBy(seeds, ({ seedPeerClusterId }) => seedPeerClusterId);
  let firstEndsAt: Date | undefined;
  for (const { activeUntil } of [...active, ...seeds]) {
    if (activeUntil !== null && (firstEndsAt === undefined || activeUntil < firstEndsAt)) firstEndsAt = activeUntil;
  }
  return {
    version,
    clusters: clusters.map((cluster) => {
      const linked = (linksOf.get(cluster.id) ?? []).map((link) => link.cluster);
      return {
        cluster,
        schedulers: schedulersOf.get(cluster.id) ?? [],
        seedPeerClusters: linked,
        seedPeers: linked.flatMap(({ id }) => seedsOf.get(id) ?? []),
      };
    }),
    firstEndsAt,
  };
}

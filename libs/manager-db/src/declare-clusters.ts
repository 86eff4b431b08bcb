import { eq, inArray, or, sql } from 'drizzle-orm';
import { LOCK } from './migrate.ts';
import type { Database, Db } from './open-database.ts';
import type { ClusterScopes } from './schema/documents.ts';
import { clusterLinks, schedulerClusters, seedPeerClusters } from './schema/index.ts';
import { asked } from './translate-error.ts';

/** A cluster that has to be there, under an id that others are configured with. */
export interface DeclaredCluster {
  readonly id: number;
  readonly name: string;
  readonly isDefault: boolean;
  readonly scopes: ClusterScopes;
}

/**
 * Makes clusters that are missing, each with seed peers of its own; one whose id or name is there is left as it is. Ids that are given
 * later do not collide with these. Safe to run at each start and by several replicas at once.
 * @returns the names of those that were made
 */
export async function declareClusters(
  database: Database,
  declared: readonly DeclaredCluster[],
  now: Date,
): Promise<string[]> {
  if (declared.length === 0) return [];
  return await database.transaction(async (tx) => {
    await asked(tx.execute(sql`select pg_advisory_xact_lock(${LOCK})`));
    const made: string[] = [];
    for (const cluster of declared) if (await declareCluster(tx, cluster, now)) made.push(cluster.name);
    if (made.length > 0) for (const table of ['scheduler_cluster', 'seed_peer_cluster']) await passIds(tx, table);
    return made;
  });
}

async function declareCluster(tx: Db, { id, name, isDefault, scopes }: DeclaredCluster, now: Date): Promise<boolean> {
  const found = await asked(
    tx
      .select({ id: schedulerClusters.id })
      .from(schedulerClusters)
      .where(or(eq(schedulerClusters.id, id), eq(schedulerClusters.name, name))),
  );
  if (found.length > 0) return false;
  if (isDefault)
    await asked(
      tx
        .update(schedulerClusters)
        .set({ isDefault: false, updatedAt: now })
        .where(eq(schedulerClusters.isDefault, true)),
    );
  const stamps = { createdAt: now, updatedAt: now };
  await asked(
    tx.insert(schedulerClusters).values({
      ...{ id, name, isDefault, scopes, ...stamps },
      config: { candidate_parent_limit: 3, filter_parent_limit: 15, job_rate_limit: 10 },
      clientConfig: { load_limit: 200 },
      seedClientConfig: {},
    }),
  );
  // The same id where it is free, so that seed peers can be configured with it.
  const taken = await asked(
    tx
      .select()
      .from(seedPeerClusters)
      .where(inArray(seedPeerClusters.id, [id])),
  );
  const own = { name, config: { load_limit: 2000 }, ...stamps, ...(taken.length === 0 && { id }) };
  const [seeds] = await asked(tx.insert(seedPeerClusters).values(own).returning({ id: seedPeerClusters.id }));
  if (seeds !== undefined)
    await asked(tx.insert(clusterLinks).values({ schedulerClusterId: id, seedPeerClusterId: seeds.id }));
  return true;
}

/** Ids that were given by hand are behind the counter of the table's own. */
async function passIds(tx: Db, table: string): Promise<void> {
  const name = sql.identifier(table);
  await asked(
    tx.execute(sql`
      select setval(sequence, greatest((select max("id") from ${name}), nextval(sequence)))
      from cast(pg_get_serial_sequence(${table}, 'id') as regclass) as sequence`),
  );
}

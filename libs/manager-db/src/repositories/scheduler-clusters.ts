import { and, eq, inArray, ne } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import { clusterLinks, schedulerClusters, seedPeerClusters } from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import { given } from './conditions.ts';
import type { Page, Paged } from './page.ts';
import type { SchedulerClusterRow, SeedPeerClusterRow } from './rows.ts';
import { TableRepository } from './table-repository.ts';

export type SchedulerClusterValues = Pick<
  SchedulerClusterRow,
  'name' | 'bio' | 'config' | 'clientConfig' | 'seedClientConfig' | 'scopes' | 'isDefault'
>;

/** Clusters of schedulers. What makes another cluster the default takes that from the one that was, so run these in a transaction. */
export class SchedulerClusterRepository extends TableRepository<typeof schedulerClusters> {
  constructor(db: Db) {
    super(db, schedulerClusters, 'scheduler cluster');
  }

  page(filter: { readonly name?: string | undefined }, page: Page): Promise<Paged<SchedulerClusterRow>> {
    return this.pageOf(this.equals(filter), page);
  }

  async all(): Promise<SchedulerClusterRow[]> {
    return await asked(this.db.select().from(schedulerClusters).orderBy(schedulerClusters.id));
  }

  async withIds(ids: readonly number[]): Promise<SchedulerClusterRow[]> {
    return await asked(
      this.db
        .select()
        .from(schedulerClusters)
        .where(inArray(schedulerClusters.id, [...ids])),
    );
  }

  /** @throws {AlreadyExistsError} the name is taken */
  async create(values: SchedulerClusterValues, now: Date): Promise<SchedulerClusterRow> {
    if (values.isDefault) await this.#unsetDefault(undefined, now);
    return await this.insert({ ...values, createdAt: now, updatedAt: now });
  }

  /** @throws {NotFoundError} {@link AlreadyExistsError} */
  async update(id: number, change: Partial<SchedulerClusterValues>, now: Date): Promise<SchedulerClusterRow> {
    if (change.isDefault === true) await this.#unsetDefault(id, now);
    return await this.change(id, { ...given(change), updatedAt: now });
  }

  /** The clusters of seed peers that serve a cluster. */
  async seedsOf(id: number): Promise<SeedPeerClusterRow[]> {
    const rows = await asked(
      this.db
        .select({ cluster: seedPeerClusters })
        .from(seedPeerClusters)
        .innerJoin(clusterLinks, eq(clusterLinks.seedPeerClusterId, seedPeerClusters.id))
        .where(eq(clusterLinks.schedulerClusterId, id))
        .orderBy(seedPeerClusters.id),
    );
    return rows.map(({ cluster }) => cluster);
  }

  /** Lets exactly this cluster of seed peers serve a cluster. @throws {ReferenceNotFoundError} one of the two does not exist */
  async linkSeeds(id: number, seedPeerClusterId: number): Promise<void> {
    await asked(this.db.delete(clusterLinks).where(eq(clusterLinks.schedulerClusterId, id)));
    await asked(this.db.insert(clusterLinks).values({ schedulerClusterId: id, seedPeerClusterId }));
  }

  async #unsetDefault(exceptId: number | undefined, now: Date): Promise<void> {
    const others = exceptId === undefined ? undefined : ne(schedulerClusters.id, exceptId);
    await asked(
      this.db
        .update(schedulerClusters)
        .set({ isDefault: false, updatedAt: now })
        .where(and(schedulerClusters.isDefault, others)),
    );
  }
}

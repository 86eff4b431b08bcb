import { eq } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import { clusterLinks, schedulerClusters, seedPeerClusters } from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import { given } from './conditions.ts';
import type { Page, Paged } from './page.ts';
import type { SchedulerClusterRow, SeedPeerClusterRow } from './rows.ts';
import { TableRepository } from './table-repository.ts';

export type SeedPeerClusterValues = Pick<SeedPeerClusterRow, 'name' | 'bio' | 'config'>;

export class SeedPeerClusterRepository extends TableRepository<typeof seedPeerClusters> {
  constructor(db: Db) {
    super(db, seedPeerClusters, 'seed peer cluster');
  }

  page(filter: { readonly name?: string | undefined }, page: Page): Promise<Paged<SeedPeerClusterRow>> {
    return this.pageOf(this.equals(filter), page);
  }

  /** @throws {AlreadyExistsError} the name is taken */
  create(values: SeedPeerClusterValues, now: Date): Promise<SeedPeerClusterRow> {
    return this.insert({ ...values, createdAt: now, updatedAt: now });
  }

  /** @throws {NotFoundError} {@link AlreadyExistsError} */
  update(id: number, change: Partial<SeedPeerClusterValues>, now: Date): Promise<SeedPeerClusterRow> {
    return this.change(id, { ...given(change), updatedAt: now });
  }

  /** The clusters of schedulers that it serves. */
  async servedBy(id: number): Promise<SchedulerClusterRow[]> {
    const rows = await asked(
      this.db
        .select({ cluster: schedulerClusters })
        .from(schedulerClusters)
        .innerJoin(clusterLinks, eq(clusterLinks.schedulerClusterId, schedulerClusters.id))
        .where(eq(clusterLinks.seedPeerClusterId, id))
        .orderBy(schedulerClusters.id),
    );
    return rows.map(({ cluster }) => cluster);
  }
}

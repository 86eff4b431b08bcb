import { and } from 'drizzle-orm';
import type { Db } from '../open-database.ts';
import { seedPeers } from '../schema/index.ts';
import { given } from './conditions.ts';
import type { ActivityState } from './kept-alive-repository.ts';
import { KeptAliveRepository } from './kept-alive-repository.ts';
import type { Page, Paged } from './page.ts';
import type { SeedPeerRow } from './rows.ts';

export type SeedPeerValues = Pick<
  SeedPeerRow,
  | ('hostName' | 'type' | 'ip' | 'port' | 'downloadPort' | 'objectStoragePort')
  | ('idc' | 'location' | 'seedPeerClusterId')
>;

export type SeedPeerFilter = { readonly [K in keyof SeedPeerValues]?: SeedPeerValues[K] | undefined } & {
  readonly state?: ActivityState | undefined;
};

export class SeedPeerRepository extends KeptAliveRepository<typeof seedPeers> {
  constructor(db: Db) {
    super(db, seedPeers, seedPeers.seedPeerClusterId, 'seed peer');
  }

  page({ state, ...filter }: SeedPeerFilter, page: Page, now: Date): Promise<Paged<SeedPeerRow>> {
    return this.pageOf(and(this.equals(filter), this.stateIs(state, now)), page);
  }

  /** @throws {AlreadyExistsError} {@link ReferenceNotFoundError} */
  create(values: SeedPeerValues, now: Date): Promise<SeedPeerRow> {
    return this.insert({ ...values, createdAt: now, updatedAt: now });
  }

  /** @throws {NotFoundError} {@link AlreadyExistsError} {@link ReferenceNotFoundError} */
  update(id: number, change: Partial<SeedPeerValues>, now: Date): Promise<SeedPeerRow> {
    return this.change(id, { ...given(change), updatedAt: now });
  }

  /** @throws {ReferenceNotFoundError} there is no such cluster */
  register(values: SeedPeerValues & { readonly keepAliveIntervalMs: number }, now: Date): Promise<SeedPeerRow> {
    const target = [seedPeers.hostName, seedPeers.ip, seedPeers.seedPeerClusterId];
    return this.registerRow({ ...values, clusterId: values.seedPeerClusterId }, values, target, now);
  }
}

import { asc, desc, eq, min } from 'drizzle-orm';
import { NotFoundError } from '../errors.ts';
import type { Db } from '../open-database.ts';
import type {
  BlockList,
  ClientConfig,
  ClusterScopes,
  SchedulerClusterConfig,
  SeedPeerClusterConfig,
} from '../schema/documents.ts';
import { clusterLinks, schedulerClusters, seedPeerClusters } from '../schema/index.ts';
import { asked } from '../translate-error.ts';
import { equals } from './conditions.ts';
import type { Page, Paged } from './page.ts';
import { countRows } from './page.ts';
import type { SchedulerClusterRow, SeedPeerClusterRow } from './rows.ts';
import { SchedulerClusterRepository } from './scheduler-clusters.ts';
import { SeedPeerClusterRepository } from './seed-peer-clusters.ts';

/** A cluster of schedulers and the one of seed peers that belongs to it, as one thing with the id of the first. */
export interface Cluster {
  readonly schedulers: SchedulerClusterRow;
  /** Undefined when somebody has cut the link. */
  readonly seeds: SeedPeerClusterRow | undefined;
}

export interface ClusterValues {
  readonly name: string;
  readonly bio: string;
  readonly scopes: ClusterScopes;
  readonly isDefault: boolean;
  readonly schedulerClusterConfig: SchedulerClusterConfig;
  readonly seedPeerClusterConfig: SeedPeerClusterConfig;
  readonly peerClusterConfig: ClientConfig;
}

/** Both halves are written together: run what changes them in a transaction. */
export class ClusterRepository {
  readonly #db: Db;
  readonly #schedulers: SchedulerClusterRepository;
  readonly #seeds: SeedPeerClusterRepository;

  constructor(db: Db) {
    this.#db = db;
    this.#schedulers = new SchedulerClusterRepository(db);
    this.#seeds = new SeedPeerClusterRepository(db);
  }

  async page(filter: { readonly name?: string | undefined }, { offset, limit }: Page): Promise<Paged<Cluster>> {
    const where = equals(schedulerClusters, filter);
    const rows = asked(this.#select().where(where).orderBy(desc(schedulerClusters.id)).offset(offset).limit(limit));
    const [found, total] = await Promise.all([rows, asked(countRows(this.#db, schedulerClusters, where))]);
    return { rows: found.map(toCluster), total };
  }

  /** @throws {NotFoundError} */
  async get(id: number): Promise<Cluster> {
    const [row] = await asked(this.#select().where(eq(schedulerClusters.id, id)));
    if (row === undefined) throw new NotFoundError('cluster', id);
    return toCluster(row);
  }

  /** @throws {AlreadyExistsError} the name is taken */
  async create(values: ClusterValues, now: Date): Promise<Cluster> {
    const { name, bio, scopes, isDefault, schedulerClusterConfig, seedPeerClusterConfig, peerClusterConfig } = values;
    const seedClientConfig = seedClientConfigOf(seedPeerClusterConfig.block_list);
    const seeds = await this.#seeds.create({ name, bio, config: seedPeerClusterConfig }, now);
    const schedulers = await this.#schedulers.create(
      {
        name,
        bio,
        scopes,
        isDefault,
        config: schedulerClusterConfig,
        clientConfig: peerClusterConfig,
        seedClientConfig,
      },
      now,
    );
    await this.#schedulers.linkSeeds(schedulers.id, seeds.id);
    return { schedulers, seeds };
  }

  /** What is absent stays as it is. @throws {NotFoundError} {@link AlreadyExistsError} */
  async update(id: number, change: Partial<ClusterValues>, now: Date): Promise<Cluster> {
    const { name, bio, scopes, isDefault, schedulerClusterConfig, seedPeerClusterConfig, peerClusterConfig } = change;
    const before = await this.get(id);
    const seeds =
      before.seeds &&
      (await this.#seeds.update(before.seeds.id, { ...defined({ name, bio, config: seedPeerClusterConfig }) }, now));
    const seedClientConfig = seedPeerClusterConfig && seedClientConfigOf(seedPeerClusterConfig.block_list);
    const schedulers = await this.#schedulers.update(
      id,
      defined({
        ...{ name, bio, scopes, isDefault },
        ...{ config: schedulerClusterConfig, clientConfig: peerClusterConfig, seedClientConfig },
      }),
      now,
    );
    return { schedulers, seeds };
  }

  /** @throws {NotFoundError} {@link StillInUseError} schedulers or seed peers belong to it */
  async remove(id: number): Promise<void> {
    const { seeds } = await this.get(id);
    await this.#schedulers.remove(id);
    if (seeds !== undefined && (await this.#seeds.servedBy(seeds.id)).length === 0) await this.#seeds.remove(seeds.id);
  }

  /** Each cluster with the first of its clusters of seed peers. */
  #select() {
    const first = this.#db
      .select({
        schedulerClusterId: clusterLinks.schedulerClusterId,
        id: min(clusterLinks.seedPeerClusterId).as('first_id'),
      })
      .from(clusterLinks)
      .groupBy(clusterLinks.schedulerClusterId)
      .orderBy(asc(clusterLinks.schedulerClusterId))
      .as('first_link');
    return this.#db
      .select({ schedulers: schedulerClusters, seeds: seedPeerClusters })
      .from(schedulerClusters)
      .leftJoin(first, eq(first.schedulerClusterId, schedulerClusters.id))
      .leftJoin(seedPeerClusters, eq(seedPeerClusters.id, first.id))
      .$dynamic();
  }
}

const toCluster = (row: { schedulers: SchedulerClusterRow; seeds: SeedPeerClusterRow | null }): Cluster => ({
  schedulers: row.schedulers,
  seeds: row.seeds ?? undefined,
});

/** Seed peers read their block list where daemons read theirs. */
const seedClientConfigOf = (blockList: BlockList | undefined): ClientConfig =>
  blockList === undefined ? {} : { block_list: blockList };

/** Without the fields that are undefined. */
function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}

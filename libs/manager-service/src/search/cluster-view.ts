import type { ClusterOrder, ClusterScore, ScopeProblem, Seeker } from '@d7y/cluster-search';
import { ClusterSearch } from '@d7y/cluster-search';
import { scopesOf } from './cluster-documents.ts';
import type {
  ClusterFacts,
  SchedulerClusterFacts,
  SchedulerFacts,
  SeedPeerClusterFacts,
  SeedPeerFacts,
} from './cluster-facts.ts';
import { compilePatterns } from './patterns.ts';

/** What a scheduler must offer for daemons to be sent to it. */
export const SCHEDULES = 'schedule';

/** A scheduler cluster with everything that belongs to it. */
export interface ViewedCluster {
  readonly facts: SchedulerClusterFacts;
  /** Active ones first, then by id. */
  readonly schedulers: readonly SchedulerFacts[];
  readonly seedPeerClusters: readonly SeedPeerClusterFacts[];
}

/**
 * The clusters as of one moment, arranged for questions. It does not change; a newer view replaces it.
 */
export class ClusterView {
  readonly facts: ClusterFacts;
  /** Epoch milliseconds of the moment. */
  readonly atMs: number;
  /** Until when it holds, as far as nobody keeps alive who is active now. */
  readonly expiresAtMs: number;
  readonly clusters: ReadonlyMap<number, ViewedCluster>;
  /** Clusters to which daemons can be sent. */
  readonly offered: ReadonlySet<number>;
  readonly #search: ClusterSearch;
  readonly #seedPeers = new Map<number, SeedPeerFacts[]>();

  constructor(facts: ClusterFacts, nowMs: number) {
    this.facts = facts;
    this.atMs = nowMs;
    this.expiresAtMs = [...facts.schedulers, ...facts.seedPeers]
      .filter((instance) => this.isActive(instance))
      .reduce((first, { activeUntilMs = Infinity }) => Math.min(first, activeUntilMs), Infinity);
    const schedulers = groupBy(facts.schedulers, ({ clusterId }) => clusterId);
    const seedClusters = new Map(facts.seedPeerClusters.map((cluster) => [cluster.id, cluster]));
    const links = groupBy(facts.links, ({ schedulerClusterId }) => schedulerClusterId);
    for (const [id, seeds] of groupBy(facts.seedPeers, ({ clusterId }) => clusterId)) this.#seedPeers.set(id, seeds);
    this.clusters = new Map(
      facts.schedulerClusters.map((cluster) => {
        const members = [...(schedulers.get(cluster.id) ?? [])].sort(
          (left, right) => Number(this.isActive(right)) - Number(this.isActive(left)) || left.id - right.id,
        );
        const seedPeerClusters = (links.get(cluster.id) ?? []).flatMap(
          ({ seedPeerClusterId }) => seedClusters.get(seedPeerClusterId) ?? [],
        );
        return [cluster.id, { facts: cluster, schedulers: members, seedPeerClusters }];
      }),
    );
    const withActive = this.#clustersWith((scheduler) => this.isActive(scheduler));
    // When nobody seems to be there, it is probably this manager that was away: daemons find out by asking the schedulers themselves.
    this.offered = withActive.size > 0 ? withActive : this.#clustersWith(() => true);
    this.#search = new ClusterSearch(
      facts.schedulerClusters
        .filter(({ id }) => this.offered.has(id))
        .map(({ id, isDefault, scopes }) => ({ id, isDefault, scopes: scopesOf(scopes) })),
      compilePatterns,
    );
  }

  isActive({ activeUntilMs }: { readonly activeUntilMs: number | undefined }): boolean {
    return activeUntilMs !== undefined && activeUntilMs > this.atMs;
  }

  /** Of all clusters. */
  activeSchedulers(): readonly SchedulerFacts[] {
    return this.facts.schedulers.filter((scheduler) => this.isActive(scheduler));
  }

  /** Schedulers of an offered cluster that daemons may use. */
  usableSchedulers({ schedulers }: ViewedCluster): readonly SchedulerFacts[] {
    const scheduling = schedulers.filter(({ features }) => features.includes(SCHEDULES));
    const active = scheduling.filter((scheduler) => this.isActive(scheduler));
    return active.length > 0 ? active : scheduling;
  }

  activeSeedPeers({ seedPeerClusters }: ViewedCluster): readonly SeedPeerFacts[] {
    return seedPeerClusters.flatMap(({ id }) => this.seedPeersOf(id)).filter((seed) => this.isActive(seed));
  }

  /** Of a cluster of seed peers, active or not. */
  seedPeersOf(clusterId: number): readonly SeedPeerFacts[] {
    return this.#seedPeers.get(clusterId) ?? [];
  }

  /** The offered clusters, the one that suits best first. */
  rank(seeker: Seeker): ClusterScore[] {
    return this.#search.rank(seeker);
  }

  /** The same, without what speaks for each. */
  order(seeker: Seeker): ClusterOrder {
    return this.#search.order(seeker);
  }

  /** What is of no use in the scopes of clusters. */
  get problems(): readonly ScopeProblem[] {
    return this.#search.problems;
  }

  #clustersWith(wanted: (scheduler: SchedulerFacts) => boolean): ReadonlySet<number> {
    const found = new Set<number>();
    for (const [id, { schedulers }] of this.clusters)
      if (schedulers.some((scheduler) => scheduler.features.includes(SCHEDULES) && wanted(scheduler))) found.add(id);
    return found;
  }
}

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => number): Map<number, Item[]> {
  return Map.groupBy<number, Item>(items, keyOf);
}

import type { Database, PeerRepository } from '@d7y/manager-db';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Leadership } from '../leader/leadership.ts';
import type { KeepAlives } from '../rpc/keep-alive.ts';
import type { ClusterWatch } from '../search/cluster-watch.ts';
import type { SchedulerLists } from '../search/scheduler-lists.ts';

const PREFIX = 'dragonfly_manager_';

export interface WatchedState {
  readonly watch: ClusterWatch;
  readonly lists: SchedulerLists;
  readonly keepAlives: KeepAlives;
  readonly database: Pick<Database, 'pool'>;
  readonly leadership: Leadership;
  readonly peers: Pick<PeerRepository, 'counts'>;
}

/** Shows what a manager knows and holds at the moment of a scrape. */
export function watchState(
  registry: Registry,
  { watch, lists, keepAlives, database, leadership, peers }: WatchedState,
): void {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name: `${PREFIX}${name}`,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  new Gauge({
    name: `${PREFIX}scheduler_total`,
    help: 'schedulers that have registered',
    labelNames: ['cluster', 'state'],
    registers,
    collect() {
      this.reset();
      const { view } = watch;
      for (const { facts, schedulers } of view.clusters.values())
        for (const scheduler of schedulers)
          this.inc({ cluster: facts.name, state: view.isActive(scheduler) ? 'active' : 'inactive' });
    },
  });
  new Gauge({
    name: `${PREFIX}seed_peer_total`,
    help: 'seed peers that have registered',
    labelNames: ['cluster', 'state'],
    registers,
    collect() {
      this.reset();
      const { view } = watch;
      for (const { id, name } of view.facts.seedPeerClusters)
        for (const seed of view.seedPeersOf(id))
          this.inc({ cluster: name, state: view.isActive(seed) ? 'active' : 'inactive' });
    },
  });
  new Gauge({
    name: `${PREFIX}peer_total`,
    help: 'daemons that schedulers have told of; missing while the database cannot be asked',
    labelNames: ['scheduler_cluster_id', 'type', 'state'],
    registers,
    async collect() {
      const counts = await peers.counts().catch(() => []);
      this.reset();
      for (const { schedulerClusterId, type, state, count } of counts)
        this.set({ scheduler_cluster_id: schedulerClusterId, type, state }, count);
    },
  });
  for (const outcome of ['hits', 'misses'] as const) {
    new Counter({
      name: `${PREFIX}cache_${outcome}_total`,
      help: `answers to daemons that ${outcome === 'hits' ? 'were there' : 'had to be looked for'}`,
      registers,
      collect() {
        this.reset();
        this.inc(lists.counts[outcome]);
      },
    });
  }
  gauge(
    'keepalive_streams',
    'streams by which schedulers and seed peers say that they are there',
    () => keepAlives.size,
  );
  gauge(
    'cluster_view_age_seconds',
    'since the view of the clusters was made',
    () => (Date.now() - watch.view.atMs) / 1000,
  );
  gauge('cluster_view_failing', '1 while the database does not tell of clusters', () => Number(watch.isFailing));
  gauge('leader', '1 on the manager that does the work in the background', () => Number(leadership.isLeader));
  gauge('db_pool_connections', 'connections to the database', () => database.pool.totalCount);
  gauge('db_pool_idle', 'connections nobody uses', () => database.pool.idleCount);
  gauge('db_pool_waiting', 'callers that wait for a connection', () => database.pool.waitingCount);
}

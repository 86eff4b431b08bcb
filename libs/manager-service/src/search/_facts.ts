import type { ClusterFacts, SchedulerFacts } from './cluster-facts.ts';

/** A moment for tests, epoch milliseconds. */
export const NOW_MS = 1_800_000_000_000;

type Member = Partial<SchedulerFacts> & { readonly isActive?: boolean };

/** Facts of clusters with these schedulers, one seed peer cluster each with one seed peer. */
export function factsOf(
  clusters: readonly {
    readonly id: number;
    readonly schedulers?: readonly Member[];
    readonly scopes?: Record<string, unknown>;
    readonly isDefault?: boolean;
    readonly clientConfig?: Record<string, unknown>;
  }[],
  version = 1,
): ClusterFacts {
  return {
    version,
    schedulerClusters: clusters.map(({ id, scopes = {}, isDefault = false, clientConfig = { load_limit: 200 } }) => ({
      ...{ id, name: `cluster-${id}`, bio: '', isDefault, scopes, clientConfig },
      config: { candidate_parent_limit: 3, filter_parent_limit: 15, job_rate_limit: 10 },
      seedClientConfig: {},
    })),
    seedPeerClusters: clusters.map(({ id }) => ({
      id: id + 1000,
      name: `seeds-${id}`,
      bio: '',
      config: { load_limit: 2000 },
    })),
    links: clusters.map(({ id }) => ({ schedulerClusterId: id, seedPeerClusterId: id + 1000 })),
    schedulers: clusters.flatMap(({ id, schedulers = [{}] }) =>
      schedulers.map(({ isActive = true, ...rest }, index) => ({
        ...{ id: id * 100 + index, hostname: `scheduler-${id}-${index}`, ip: `10.0.${id}.${index + 1}`, port: 8002 },
        ...{ idc: '', location: '', clusterId: id, features: ['schedule', 'preheat'] },
        activeUntilMs: isActive ? NOW_MS + 15_000 : NOW_MS - 1,
        ...rest,
      })),
    ),
    seedPeers: clusters.map(({ id }) => ({
      ...{
        id,
        hostname: `seed-${id}`,
        ip: `10.1.${id}.1`,
        port: 4000,
        downloadPort: 4001,
        type: 'super',
        idc: '',
        location: '',
      },
      ...{ clusterId: id + 1000, activeUntilMs: NOW_MS + 15_000 },
    })),
  };
}

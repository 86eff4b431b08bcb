import type { AnswerOf, RequestOf } from '@d7y/manager-api';
import type { ClusterView } from '../search/cluster-view.ts';

/** The clusters to which a daemon could be sent, the one that suits best first, and why. */
export function matchesOf(view: ClusterView, daemon: RequestOf<'clusters.match'>['query']): AnswerOf<'clusters.match'> {
  const { hostname = '', ip = '', idc, location } = daemon;
  return view.rank({ hostname, ip, idc, location }).flatMap((score) => {
    const cluster = view.clusters.get(score.clusterId);
    if (cluster === undefined) return [];
    return [
      {
        id: score.clusterId,
        name: cluster.facts.name,
        is_default: cluster.facts.isDefault,
        active_schedulers: cluster.schedulers.filter((scheduler) => view.isActive(scheduler)).length,
        score: score.total,
        affinities: {
          ...{ cidr: score.cidr, hostname: score.hostname, idc: score.idc, location: score.location },
          default: score.default,
        },
      },
    ];
  });
}

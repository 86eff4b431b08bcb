import type { RequestOf } from '@d7y/manager-api';
import type { ClusterValues } from '@d7y/manager-db';
import { ClusterRepository } from '@d7y/manager-db';
import type { Handlers } from '../call.ts';
import type { Services } from '../services.ts';
import { given, pageOf } from '../services.ts';
import { toCluster } from '../views/clusters.ts';
import { withoutNulls } from '../views/stored.ts';
import { checkPatterns } from './check-patterns.ts';

type ClusterRoute = Extract<keyof Handlers, `clusters.${string}`>;

export function clusterHandlers(services: Services): Handlers<ClusterRoute> {
  const { database, now, matchClusters } = services;
  const clusters = new ClusterRepository(database.db);
  return {
    async 'clusters.create'({ body }) {
      checkPatterns(body, services);
      const { name, scheduler_cluster_config, seed_peer_cluster_config, peer_cluster_config } = body;
      const { schedulers, seeds } = await database.transaction((tx) =>
        new ClusterRepository(tx).create(
          {
            ...{ name, bio: body.bio ?? '', isDefault: body.is_default ?? false },
            scopes: withoutNulls(body.scopes ?? {}),
            schedulerClusterConfig: withoutNulls(scheduler_cluster_config),
            seedPeerClusterConfig: withoutNulls(seed_peer_cluster_config),
            peerClusterConfig: withoutNulls(peer_cluster_config),
          },
          now(),
        ),
      );
      return toCluster(schedulers, seeds);
    },
    async 'clusters.list'(call) {
      const { rows, total } = await clusters.page({ name: call.query.name }, pageOf(call.query));
      call.setTotal(total);
      return rows.map(({ schedulers, seeds }) => toCluster(schedulers, seeds));
    },
    async 'clusters.get'({ params }) {
      const { schedulers, seeds } = await clusters.get(params.id);
      return toCluster(schedulers, seeds);
    },
    async 'clusters.update'({ params, body }) {
      checkPatterns(body, services);
      const { schedulers, seeds } = await database.transaction((tx) =>
        new ClusterRepository(tx).update(params.id, changeOf(body), now()),
      );
      return toCluster(schedulers, seeds);
    },
    async 'clusters.delete'({ params }) {
      await database.transaction((tx) => new ClusterRepository(tx).remove(params.id));
      return undefined;
    },
    'clusters.match': ({ query }) => matchClusters(query),
  };
}

const changeOf = (body: RequestOf<'clusters.update'>['body']): Partial<ClusterValues> =>
  given({
    ...{ name: body.name, bio: body.bio, isDefault: body.is_default },
    scopes: body.scopes === undefined ? undefined : withoutNulls(body.scopes ?? {}),
    schedulerClusterConfig: body.scheduler_cluster_config && withoutNulls(body.scheduler_cluster_config),
    seedPeerClusterConfig: body.seed_peer_cluster_config && withoutNulls(body.seed_peer_cluster_config),
    peerClusterConfig: body.peer_cluster_config && withoutNulls(body.peer_cluster_config),
  });

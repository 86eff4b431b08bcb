import type { MessageInitShape } from '@bufbuild/protobuf';
import type { manager } from '@d7y/api';
import { clientConfigOf, jsonBytes, type TellProblem } from './cluster-documents.ts';
import type { SchedulerFacts, SeedPeerClusterFacts, SeedPeerFacts } from './cluster-facts.ts';
import type { ClusterView, ViewedCluster } from './cluster-view.ts';

type SchedulerMessage = MessageInitShape<typeof manager.SchedulerSchema>;
type SeedPeerMessage = MessageInitShape<typeof manager.SeedPeerSchema>;

/** What every answer about a scheduler says. */
export function schedulerMessage(scheduler: SchedulerFacts, view: ClusterView) {
  const { id, hostname, idc, location, ip, port, clusterId, features } = scheduler;
  return {
    ...{ id: BigInt(id), hostname, idc, location, ip, port, state: stateOf(view.isActive(scheduler)) },
    ...{ schedulerClusterId: BigInt(clusterId), features: jsonBytes(features) },
  } satisfies SchedulerMessage;
}

/** What daemons are told of a scheduler: what they, stock or ours, read. There may be thousands in each answer. */
export function schedulerForDaemons(scheduler: SchedulerFacts, view: ClusterView) {
  const { features: _features, idc: _idc, location: _location, ...rest } = schedulerMessage(scheduler, view);
  return rest;
}

/** What daemons are told of a cluster: what is meant for them, and nothing of what it says to schedulers. */
export function clusterForDaemons({ facts }: ViewedCluster, tell: TellProblem) {
  return {
    ...{ id: BigInt(facts.id), name: facts.name, bio: facts.bio },
    clientConfig: jsonBytes(clientConfigOf(facts.clientConfig, tell)),
    seedClientConfig: jsonBytes(clientConfigOf(facts.seedClientConfig, tell)),
  };
}

/** What a scheduler is told of itself. */
export function schedulerForItself(
  scheduler: SchedulerFacts,
  cluster: ViewedCluster,
  view: ClusterView,
  tell: TellProblem,
): SchedulerMessage {
  const { facts, seedPeerClusters } = cluster;
  const seedClusters = new Map(seedPeerClusters.map((each) => [each.id, each]));
  return {
    ...schedulerMessage(scheduler, view),
    schedulerCluster: {
      ...clusterForDaemons(cluster, tell),
      config: jsonBytes(facts.config),
      scopes: jsonBytes(facts.scopes),
    },
    seedPeers: view
      .activeSeedPeers(cluster)
      .map((seed) => seedPeerMessage(seed, seedClusters.get(seed.clusterId), view, tell)),
  };
}

export function seedPeerMessage(
  seed: SeedPeerFacts,
  cluster: SeedPeerClusterFacts | undefined,
  view: ClusterView,
  tell: TellProblem,
) {
  const { id, hostname, type, idc, location, ip, port, downloadPort, clusterId } = seed;
  return {
    ...{ id: BigInt(id), hostname, type, idc, location, ip, port, downloadPort },
    ...{ state: stateOf(view.isActive(seed)), seedPeerClusterId: BigInt(clusterId) },
    ...(cluster && {
      seedPeerCluster: {
        ...{ id: BigInt(cluster.id), name: cluster.name, bio: cluster.bio },
        config: jsonBytes(clientConfigOf(cluster.config, tell)),
      },
    }),
  } satisfies SeedPeerMessage;
}

const stateOf = (isActive: boolean): string => (isActive ? 'active' : 'inactive');

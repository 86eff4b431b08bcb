import type { ServiceImpl } from '@connectrpc/connect';
import type { manager } from '@d7y/api';
import { dfCodeOf, type Logger } from '@d7y/service-kit';
import { schedulerMessage, seedPeerMessage } from '../search/cluster-messages.ts';
import type { SeedPeerFacts } from '../search/cluster-facts.ts';
import type { ClusterView } from '../search/cluster-view.ts';
import type { ClusterWatch } from '../search/cluster-watch.ts';
import type { SeedPeerBook } from './books.ts';
import { UnknownClusterError, UnknownInstanceError } from './errors.ts';
import { DEFAULT_KEEP_ALIVE_MS } from './schedulers.ts';

export interface SeedPeersContext {
  readonly watch: ClusterWatch;
  readonly seedPeers: SeedPeerBook;
  readonly clock: () => number;
  readonly logger: Logger;
}

/** What is asked about seed peers, and how those register. */
export const seedPeerCalls = ({ watch, seedPeers, clock, logger }: SeedPeersContext) => {
  const tell = (problem: string): void => logger.debug({ problem }, 'a block list is not sent as it was written');
  const described = (seed: SeedPeerFacts, view: ClusterView) => ({
    ...seedPeerMessage(
      seed,
      view.facts.seedPeerClusters.find(({ id }) => id === seed.clusterId),
      view,
      tell,
    ),
    schedulers: view.facts.links
      .filter(({ seedPeerClusterId }) => seedPeerClusterId === seed.clusterId)
      .flatMap(({ schedulerClusterId }) => view.clusters.get(schedulerClusterId)?.schedulers ?? [])
      .filter((scheduler) => view.isActive(scheduler))
      .map((scheduler) => schedulerMessage(scheduler, view)),
  });
  const unknown = (hostname: string, clusterId: number) =>
    new UnknownInstanceError(`seed peer ${hostname} of cluster ${clusterId} has not registered`);

  return {
    async getSeedPeer({ hostname, ip, seedPeerClusterId }) {
      const clusterId = Number(seedPeerClusterId);
      for (const read of [() => watch.view, () => watch.refresh()]) {
        const view = await read();
        const [seed] = findSeedPeers(view, hostname, ip, clusterId);
        if (seed !== undefined) return described(seed, view);
      }
      throw unknown(hostname, clusterId);
    },

    async updateSeedPeer({ hostname, type, ip, port, downloadPort, idc, location, seedPeerClusterId }) {
      const clusterId = Number(seedPeerClusterId);
      const values = {
        ...{
          hostName: hostname,
          type,
          ip,
          port,
          downloadPort,
          objectStoragePort: 0,
          idc: idc ?? '',
          location: location ?? '',
        },
        ...{ seedPeerClusterId: clusterId, keepAliveIntervalMs: DEFAULT_KEEP_ALIVE_MS },
      };
      try {
        await seedPeers.register(values, new Date(clock()));
      } catch (error) {
        if (dfCodeOf(error) !== 'REFERENCE_NOT_FOUND') throw error;
        throw new UnknownClusterError(`there is no seed peer cluster ${clusterId}`, { cause: error });
      }
      logger.info({ seedPeer: hostname, ip, port, clusterId }, 'a seed peer has registered');
      const view = await watch.refresh();
      const [seed] = findSeedPeers(view, hostname, ip, clusterId);
      if (seed === undefined) throw new UnknownInstanceError(`seed peer ${hostname} has been removed meanwhile`);
      return described(seed, view);
    },

    async deleteSeedPeer({ hostname, ip, seedPeerClusterId }) {
      const clusterId = Number(seedPeerClusterId);
      const found = findSeedPeers(await watch.refresh(), hostname, ip, clusterId);
      if (found.length === 0) throw unknown(hostname, clusterId);
      for (const { id } of found) await seedPeers.remove(id);
      await watch.refresh();
      return {};
    },

    listSeedPeers({ hostname, ip }) {
      const { view } = watch;
      const own = view.facts.seedPeers.find((seed) => seed.hostname === hostname && seed.ip === ip);
      const clusterIds = own === undefined ? seedClustersFor(view, { hostname, ip }) : [own.clusterId];
      const seeds = clusterIds.flatMap((id) => view.seedPeersOf(id)).filter((seed) => view.isActive(seed));
      if (seeds.length === 0) throw new UnknownInstanceError('there are no seed peers');
      return { seedPeers: seeds.map((seed) => described(seed, view)) };
    },
  } satisfies Partial<ServiceImpl<typeof manager.Manager>>;
};

/** Those that serve the cluster which suits a daemon best. */
function seedClustersFor(view: ClusterView, seeker: { hostname: string; ip: string }): readonly number[] {
  const [best] = view.rank(seeker);
  const cluster = best === undefined ? undefined : view.clusters.get(best.clusterId);
  return cluster?.seedPeerClusters.map(({ id }) => id) ?? [];
}

/** @param ip empty where the caller does not say: the name is enough then */
const findSeedPeers = (view: ClusterView, hostname: string, ip: string, clusterId: number): readonly SeedPeerFacts[] =>
  view.seedPeersOf(clusterId).filter((seed) => seed.hostname === hostname && (ip === '' || seed.ip === ip));

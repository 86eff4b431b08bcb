import { createClient } from '@connectrpc/connect';
import { type common, scheduler } from '@d7y/api';
import type { PeerValues } from '@d7y/manager-db';
import { createGrpcConnection, type GrpcConnectionOptions } from '@d7y/peer-protocol';
import type { Logger } from '@d7y/service-kit';
import type { SchedulerFacts } from '../search/cluster-facts.ts';
import type { ClusterView } from '../search/cluster-view.ts';
import type { LeaderTask } from './leadership.ts';

/** Where peers are written down; the repository of the database is one. */
export interface PeerBook {
  mergeSeen(seen: readonly PeerValues[], now: Date): Promise<void>;
  markUnseen(schedulerClusterId: number, since: Date, now: Date): Promise<number>;
}

export interface SyncPeersContext {
  readonly view: () => ClusterView;
  readonly peers: PeerBook;
  readonly connection: GrpcConnectionOptions;
  readonly settings: { readonly interval: number; readonly timeout: number; readonly batchSize: number };
  /** Epoch milliseconds. */
  readonly clock: () => number;
  readonly logger: Logger;
}

/** Longer texts of hosts are cut: they are for people. */
const MAX_TEXT = 256;

/**
 * Asks the schedulers for their hosts and writes those down. Whom no scheduler of a cluster names any more becomes inactive, unless one of
 * them did not answer: then nobody knows.
 */
export function syncPeersTask(context: SyncPeersContext): LeaderTask {
  return {
    name: 'sync-peers',
    intervalMs: context.settings.interval,
    async run({ signal }) {
      const view = context.view();
      for (const [clusterId, { schedulers }] of view.clusters) {
        const active = schedulers.filter((each) => view.isActive(each));
        if (active.length > 0) await syncCluster(clusterId, active, context, signal);
      }
    },
  };
}

async function syncCluster(
  clusterId: number,
  schedulers: readonly SchedulerFacts[],
  { peers, settings, clock, logger, ...context }: SyncPeersContext,
  signal: AbortSignal,
): Promise<void> {
  const startedAt = new Date(clock());
  const seen = new Map<string, PeerValues>();
  let isWhole = true;
  for (const { ip, port, hostname } of schedulers) {
    signal.throwIfAborted();
    try {
      using connection = createGrpcConnection({ host: ip, port }, context.connection);
      const client = createClient(scheduler.Scheduler, connection.transport);
      const { hosts } = await client.listHosts({}, { signal, timeoutMs: settings.timeout });
      for (const host of hosts) seen.set(`${host.hostname}\n${host.ip}`, peerOf(host, clusterId));
    } catch (error) {
      signal.throwIfAborted();
      isWhole = false;
      logger.warn({ err: error, scheduler: hostname, clusterId }, 'a scheduler does not say which peers it has');
    }
  }
  const all = [...seen.values()];
  for (let from = 0; from < all.length; from += settings.batchSize)
    await peers.mergeSeen(all.slice(from, from + settings.batchSize), startedAt);
  if (isWhole) await peers.markUnseen(clusterId, startedAt, new Date(clock()));
}

function peerOf(host: common.Host, schedulerClusterId: number): PeerValues {
  const { network, build } = host;
  const text = (value: string | undefined): string => (value ?? '').slice(0, MAX_TEXT);
  return {
    type: host.type === 0 ? 'normal' : 'super',
    state: 'active',
    ...{ hostName: text(host.hostname), ip: host.ip, port: host.port, schedulerClusterId },
    ...{ downloadPort: host.downloadPort, proxyPort: host.proxyPort, objectStoragePort: 0 },
    ...{ idc: text(network?.idc), location: text(network?.location), os: text(host.os), platform: text(host.platform) },
    ...{ platformFamily: text(host.platformFamily), platformVersion: text(host.platformVersion) },
    ...{ kernelVersion: text(host.kernelVersion), gitVersion: text(build?.gitVersion) },
    ...{ gitCommit: text(build?.gitCommit), buildPlatform: text(build?.platform) },
  };
}

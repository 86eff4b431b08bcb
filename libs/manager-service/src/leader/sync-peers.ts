import { createClient } from '@connectrpc/connect';
import { scheduler as schedulerApi } from '@d7y/api';
import { createGrpcConnection, type GrpcConnectionOptions } from '@d7y/peer-protocol';
import { type PeerBook, syncPeers } from '@d7y/preheat';
import type { Logger } from '@d7y/service-kit';
import type { ClusterView } from '../search/cluster-view.ts';
import type { LeaderTask } from './leadership.ts';

/** A connection serves one call; Connect's timer of an idle one holds it in memory even when it has been closed. */
const IDLE_TIMEOUT_MS = 1_000;

export interface SyncPeersContext {
  readonly view: () => ClusterView;
  readonly peers: PeerBook;
  readonly connection: GrpcConnectionOptions;
  readonly settings: { readonly interval: number; readonly timeout: number; readonly batchSize: number };
  /** Epoch milliseconds. */
  readonly clock: () => number;
  readonly logger: Logger;
}

/** Writes down now and then which peers the clusters have, where they have an active scheduler. */
export function syncPeersTask({ view, peers, connection, settings, clock, logger }: SyncPeersContext): LeaderTask {
  return {
    name: 'sync-peers',
    intervalMs: settings.interval,
    async run({ signal }) {
      const current = view();
      for (const [clusterId, { schedulers }] of current.clusters) {
        const active = schedulers.filter((each) => current.isActive(each));
        if (active.length === 0) continue;
        await syncPeers(
          {
            ...{ clusterId, schedulers: active, book: peers, batchSize: settings.batchSize, clock },
            async listHosts({ ip, port }, options) {
              using open = createGrpcConnection({ host: ip, port }, { ...connection, idleTimeoutMs: IDLE_TIMEOUT_MS });
              const client = createClient(schedulerApi.Scheduler, open.transport);
              return (await client.listHosts({}, { ...options, timeoutMs: settings.timeout })).hosts;
            },
            onSilent: ({ hostname }, error) =>
              logger.warn(
                { err: error, scheduler: hostname, clusterId },
                'a scheduler does not say which peers it has',
              ),
          },
          { signal },
        );
      }
    },
  };
}

import type { common } from '@d7y/api';

/** A host as it is written down. */
export interface SeenPeer {
  readonly type: 'normal' | 'super';
  readonly state: 'active';
  readonly hostName: string;
  readonly ip: string;
  readonly port: number;
  readonly schedulerClusterId: number;
  readonly downloadPort: number;
  readonly proxyPort: number;
  readonly objectStoragePort: number;
  readonly idc: string;
  readonly location: string;
  readonly os: string;
  readonly platform: string;
  readonly platformFamily: string;
  readonly platformVersion: string;
  readonly kernelVersion: string;
  readonly gitVersion: string;
  readonly gitCommit: string;
  readonly buildPlatform: string;
}

/** Where peers are written down; the repository of the manager's database is one. */
export interface PeerBook {
  mergeSeen(seen: readonly SeenPeer[], now: Date): Promise<void>;
  /** Marks those of a cluster inactive that were not seen since. */
  markUnseen(schedulerClusterId: number, since: Date, now: Date): Promise<number>;
}

export interface SyncPeersOptions<Scheduler> {
  readonly clusterId: number;
  readonly schedulers: readonly Scheduler[];
  /** The hosts that a scheduler knows. */
  readonly listHosts: (scheduler: Scheduler, options: { signal: AbortSignal }) => Promise<readonly common.Host[]>;
  /** A scheduler did not answer. */
  readonly onSilent: (scheduler: Scheduler, error: unknown) => void;
  readonly book: PeerBook;
  /** Hosts written at a time. */
  readonly batchSize: number;
  /** Epoch milliseconds. */
  readonly clock: () => number;
}

/** Longer texts of hosts are cut: they are for people. */
const MAX_TEXT = 256;

/**
 * Asks the schedulers of a cluster for their hosts and writes those down. Whom none of them names any more becomes inactive, unless one did
 * not answer: then nobody knows.
 * @returns how many hosts there are, and how many schedulers did not answer
 */
export async function syncPeers<Scheduler>(
  { clusterId, schedulers, listHosts, onSilent, book, batchSize, clock }: SyncPeersOptions<Scheduler>,
  { signal }: { signal: AbortSignal },
): Promise<{ readonly peers: number; readonly silent: number }> {
  const startedAt = new Date(clock());
  const seen = new Map<string, SeenPeer>();
  let silent = 0;
  for (const scheduler of schedulers) {
    signal.throwIfAborted();
    try {
      for (const host of await listHosts(scheduler, { signal }))
        seen.set(`${host.hostname}\n${host.ip}`, toPeer(host, clusterId));
    } catch (error) {
      signal.throwIfAborted();
      silent++;
      onSilent(scheduler, error);
    }
  }
  const all = [...seen.values()];
  for (let from = 0; from < all.length; from += batchSize)
    await book.mergeSeen(all.slice(from, from + batchSize), startedAt);
  if (silent === 0) await book.markUnseen(clusterId, startedAt, new Date(clock()));
  return { peers: all.length, silent };
}

function toPeer(host: common.Host, schedulerClusterId: number): SeenPeer {
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

import type { ActiveTask } from '@d7y/peer-engine';
import type { SchedulerStatus } from '../scheduler/scheduler-directory.ts';

/** What `GET /status` on the daemon's socket answers, as JSON. */
export interface DaemonStatus {
  readonly health: 'serving' | 'stopping';
  readonly version: string;
  readonly hostId: string;
  readonly isSeed: boolean;
  /** Unix time in ms. */
  readonly startedAt: number;
  readonly schedulers: readonly { readonly address: string; readonly reachable: boolean }[];
  readonly tasks: {
    readonly total: number;
    readonly running: number;
    readonly served: number;
    readonly failed: number;
    /** Of those served, the ones of which most bytes came from their origin. */
    readonly backToSource: number;
  };
  /** `limitBytes`: what the cache may grow to. */
  readonly cache: { readonly tasks: number; readonly bytes: number; readonly limitBytes: number };
  /** Since the start. */
  readonly bytes: {
    readonly fromSource: number;
    readonly fromPeers: number;
    readonly fromLocalCache: number;
    readonly uploaded: number;
  };
  readonly activeTasks: readonly ActiveTask[];
}

/** Where the parts of a status come from. */
export interface StatusSources {
  readonly version: string;
  readonly hostId: string;
  readonly isSeed: boolean;
  readonly startedAtMs: number;
  readonly isStopping: () => boolean;
  readonly schedulers: () => readonly SchedulerStatus[];
  readonly active: () => readonly ActiveTask[];
  readonly counts: () => { readonly served: number; readonly failed: number; readonly backToSource: number };
  readonly cache: () => DaemonStatus['cache'];
  readonly received: () => { readonly backToSource: number; readonly remotePeer: number; readonly localPeer: number };
  readonly uploadedBytes: () => number;
}

export function statusOf(sources: StatusSources): DaemonStatus {
  const active = sources.active();
  const cache = sources.cache();
  const received = sources.received();
  return {
    health: sources.isStopping() ? 'stopping' : 'serving',
    version: sources.version,
    hostId: sources.hostId,
    isSeed: sources.isSeed,
    startedAt: sources.startedAtMs,
    schedulers: sources.schedulers().map(({ address, reachable }) => ({ address, reachable })),
    tasks: { total: cache.tasks, running: active.length, ...sources.counts() },
    cache,
    bytes: {
      fromSource: received.backToSource,
      fromPeers: received.remotePeer,
      fromLocalCache: received.localPeer,
      uploaded: sources.uploadedBytes(),
    },
    activeTasks: active,
  };
}

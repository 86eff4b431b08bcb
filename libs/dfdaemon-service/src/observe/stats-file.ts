import { type Logger, replaceFile } from '@d7y/service-kit';
import type { DaemonStatus } from './status.ts';

/** `stats.json`: what a daemon did since its start, for scripts that read files. Times are RFC 3339, sizes bytes. */
export interface Stats {
  readonly version: string;
  readonly started_at: string;
  readonly updated_at: string;
  readonly host_id: string;
  readonly bytes: {
    readonly from_source: number;
    readonly from_peers: number;
    readonly from_local_cache: number;
    readonly uploaded: number;
  };
  /** Share of what came over the network that came from peers, 0 to 1; 0 when nothing came. */
  readonly p2p_ratio: number;
  readonly tasks: {
    readonly total: number;
    readonly running: number;
    readonly finished: number;
    readonly failed: number;
    readonly back_to_source: number;
  };
  readonly cache: { readonly tasks: number; readonly bytes: number; readonly limit: number };
  readonly schedulers: readonly { readonly address: string; readonly reachable: boolean }[];
}

export function statsOf(status: DaemonStatus, nowMs: number): Stats {
  const { fromSource, fromPeers, fromLocalCache, uploaded } = status.bytes;
  const fromNetwork = fromSource + fromPeers;
  const { total, running, served, failed, backToSource } = status.tasks;
  return {
    version: status.version,
    started_at: new Date(status.startedAt).toISOString(),
    updated_at: new Date(nowMs).toISOString(),
    host_id: status.hostId,
    bytes: { from_source: fromSource, from_peers: fromPeers, from_local_cache: fromLocalCache, uploaded },
    p2p_ratio: fromNetwork === 0 ? 0 : Math.round((fromPeers / fromNetwork) * 10_000) / 10_000,
    tasks: { total, running, finished: served, failed, back_to_source: backToSource },
    cache: { tasks: status.cache.tasks, bytes: status.cache.bytes, limit: status.cache.limitBytes },
    schedulers: status.schedulers,
  };
}

export interface StatsFileOptions {
  readonly path: string;
  readonly status: () => Promise<DaemonStatus>;
  readonly intervalMs: number;
  readonly logger: Logger;
  /** Unix time in ms. */
  readonly clock?: () => number;
}

/** Rewrites the file every few seconds, and once more when it is disposed. A reader never sees half of it. */
export class StatsFile implements AsyncDisposable {
  readonly #options: StatsFileOptions;
  readonly #timer: NodeJS.Timeout;
  #writing: Promise<void> | undefined;
  #hasFailed = false;

  constructor(options: StatsFileOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.write(), options.intervalMs);
    this.#timer.unref();
  }

  /** Never rejects: what cannot be written is logged, once. Calls join one that is under way. */
  write(): Promise<void> {
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
    return this.#writing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
    await this.write();
  }

  async #write(): Promise<void> {
    const { path, status, logger, clock = Date.now } = this.#options;
    try {
      await replaceFile(path, `${JSON.stringify(statsOf(await status(), clock()), undefined, 2)}\n`);
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) logger.warn({ err: error, path }, 'statistics cannot be written');
      this.#hasFailed = true;
    }
  }
}

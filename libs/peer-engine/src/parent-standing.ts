import type { Parent } from '@d7y/peer-protocol';
import type { ByteLimiter, Logger } from '@d7y/service-kit';
import { RateLimiter } from '@d7y/service-kit';
import type { HostLoad, Parents } from './ports/parents.ts';

/** What a host that tells no figures is taken to have idle, in bits per second: as stock daemons assume. */
const UNKNOWN_IDLE_BPS = 10e9;
/** How much a new measurement counts against all before it. */
const SMOOTHING = 0.3;
/** A host keeps this share of its weight however often it failed: it may have recovered. */
const SMALLEST_SUCCESS = 0.02;
/** Measured rates make a host count so many times more or less than its figures say. */
const RATE_BOUNDS = [0.1, 4] as const;
/** The same data centre; each matching part of the location, from the coarsest on. */
const SAME_IDC_FACTOR = 4;
const SAME_LOCATION_FACTOR = 1.5;
/** Hosts remembered; those that were not used for the longest time go first. */
const MAX_HOSTS = 4096;

/** Where a host serves its pieces. */
export interface PieceServerAddress {
  readonly ip: string;
  readonly tcpPort: number;
  /** Serves several pieces over one connection. */
  readonly keepsAlive: boolean;
  /** Offers turns to children. */
  readonly takesTurns?: boolean;
}

interface Standing {
  idleBps: number | undefined;
  /** Of single transfers, in bytes per second; undefined before the first. */
  rate: number | undefined;
  /** Share of transfers that succeeded of late. */
  success: number;
  users: number;
  /** When it was last seen sending us something, of whatever task. */
  fedAtMs: number;
  /** When it last said that it serves others. */
  servingAtMs: number;
  stop: AbortController | undefined;
  readonly limiter: ByteLimiter | undefined;
  /** Where it said that it serves pieces, and the upload port that said so: one that was started anew may have others. */
  pieceServer: { readonly address: PieceServerAddress; readonly ip: string; readonly port: number } | undefined;
}

export interface ParentStandingsInit {
  readonly parents: Pick<Parents, 'watchLoad'>;
  /** Where we are, for whoever is near. */
  readonly host: { readonly idc?: string | undefined; readonly location?: string | undefined };
  /** Most that is taken of one host, in bytes per second; undefined for no limit. */
  readonly perParentBytesPerSec?: number | undefined;
  readonly logger: Logger;
}

/**
 * What is known of hosts as parents, across tasks: how idle they say they are, how near they are, how they did. Owner of the streams on which they
 * tell: one for each host while any task uses it.
 */
export class ParentStandings {
  readonly #init: ParentStandingsInit;
  readonly #hosts = new Map<string, Standing>();
  #typicalRate: number | undefined;

  constructor(init: ParentStandingsInit) {
    this.#init = init;
  }

  /** What a single transfer brings of late, over all parents, in bytes per second; undefined before the first. */
  get typicalBytesPerSec(): number | undefined {
    return this.#typicalRate;
  }

  /** What a single transfer from the host may bring: what earlier ones did, else what those from others do; undefined while nobody knows. */
  expectedBytesPerSec(hostId: string): number | undefined {
    return this.#hosts.get(hostId)?.rate ?? this.#typicalRate;
  }

  /** Has the host tell its load until disposed. */
  use(parent: Parent): Disposable {
    const standing = this.#of(parent.hostId);
    if (standing.users++ === 0) {
      standing.stop = new AbortController();
      void this.#follow(parent, standing, standing.stop.signal);
    }
    return {
      [Symbol.dispose]: () => {
        if (--standing.users > 0) return;
        standing.stop?.abort(new DOMException('nobody uses this parent', 'AbortError'));
        // Figures that nobody refreshes are worse than none.
        standing.idleBps = undefined;
      },
    };
  }

  /** The limit on what is taken of a host, over all tasks. */
  limiterOf(hostId: string): ByteLimiter | undefined {
    return this.#of(hostId).limiter;
  }

  /** The host is sending us something. */
  fed(hostId: string, atMs: number): void {
    this.#of(hostId).fedAtMs = atMs;
  }

  /** When the host was last seen sending us something, of whatever task. */
  fedAtMs(hostId: string): number {
    return this.#hosts.get(hostId)?.fedAtMs ?? -Infinity;
  }

  /** The host says that it is there, and sends pieces to others. */
  serving(hostId: string, atMs: number): void {
    this.#of(hostId).servingAtMs = atMs;
  }

  servingAtMs(hostId: string): number {
    return this.#hosts.get(hostId)?.servingAtMs ?? -Infinity;
  }

  succeeded(hostId: string, bytes: number, elapsedMs: number): void {
    const standing = this.#of(hostId);
    const rate = (bytes * 1000) / Math.max(elapsedMs, 1);
    standing.rate = smoothed(standing.rate, rate);
    standing.success = smoothed(standing.success, 1);
    this.#typicalRate = smoothed(this.#typicalRate, rate);
  }

  /** A transfer failed, or brought `bytes` so slowly that another one was preferred. */
  failed(hostId: string, bytes = 0, elapsedMs = 0): void {
    const standing = this.#of(hostId);
    if (bytes > 0) standing.rate = smoothed(standing.rate, (bytes * 1000) / Math.max(elapsedMs, 1));
    standing.success = smoothed(standing.success, 0);
  }

  /** The parent says where it serves pieces. */
  learnedPieceServer({ hostId, ip, port }: Parent, address: PieceServerAddress): void {
    this.#of(hostId).pieceServer = { address, ip, port };
  }

  /** Nothing is served where it was. */
  lostPieceServer(hostId: string): void {
    const standing = this.#hosts.get(hostId);
    if (standing !== undefined) standing.pieceServer = undefined;
  }

  /** Where the host served pieces when it was last asked; undefined when that is not known, or it is reached in another way by now. */
  pieceServerOf({ hostId, ip, port }: Parent): PieceServerAddress | undefined {
    const known = this.#hosts.get(hostId)?.pieceServer;
    return known?.ip === ip && known.port === port ? known.address : undefined;
  }

  /** How much of the load the parent should get, relative to others: idle bandwidth × nearness × success × measured rate. */
  weight(parent: Parent): number {
    const standing = this.#hosts.get(parent.hostId);
    const idle = standing?.idleBps ?? UNKNOWN_IDLE_BPS;
    const success = Math.max(standing?.success ?? 1, SMALLEST_SUCCESS);
    return idle * this.#nearness(parent) * success * this.#rateFactor(standing?.rate);
  }

  /** Ends all streams. */
  stop(): void {
    for (const { stop } of this.#hosts.values()) stop?.abort(new Error('the daemon stops'));
  }

  #rateFactor(rate: number | undefined): number {
    if (rate === undefined || this.#typicalRate === undefined) return 1;
    const [least, most] = RATE_BOUNDS;
    return Math.min(Math.max(rate / this.#typicalRate, least), most);
  }

  #nearness({ idc, location }: Parent): number {
    const here = this.#init.host;
    const sameIdc = idc !== undefined && idc.toLowerCase() === here.idc?.toLowerCase();
    const ours = here.location?.toLowerCase().split('|') ?? [];
    const theirs = location?.toLowerCase().split('|') ?? [];
    const apart = ours.findIndex((part, index) => part !== theirs[index]);
    const shared = apart < 0 ? ours.length : apart;
    return (sameIdc ? SAME_IDC_FACTOR : 1) * SAME_LOCATION_FACTOR ** shared;
  }

  async #follow(parent: Parent, standing: Standing, signal: AbortSignal): Promise<void> {
    try {
      for await (const load of this.#init.parents.watchLoad(parent, { signal })) {
        if (signal.aborted) return;
        standing.idleBps = idleOf(load);
      }
    } catch (error) {
      if (signal.aborted) return;
      // Its pieces may be had all the same.
      this.#init.logger.debug({ parent: parent.hostId, err: error }, 'a parent does not tell its load');
    }
    if (!signal.aborted) standing.idleBps = undefined;
  }

  #newcomer(): Standing {
    const { perParentBytesPerSec: bytesPerSec } = this.#init;
    const limiter = bytesPerSec === undefined ? undefined : new RateLimiter({ bytesPerSec });
    return {
      ...{ idleBps: undefined, rate: undefined, success: 1, users: 0, stop: undefined, limiter },
      ...{ pieceServer: undefined, fedAtMs: -Infinity, servingAtMs: -Infinity },
    };
  }

  #of(hostId: string): Standing {
    const known = this.#hosts.get(hostId);
    const standing = known ?? this.#newcomer();
    this.#hosts.delete(hostId);
    this.#hosts.set(hostId, standing);
    if (this.#hosts.size > MAX_HOSTS) {
      for (const [oldest, { users }] of this.#hosts) {
        if (users > 0) continue;
        this.#hosts.delete(oldest);
        break;
      }
    }
    return standing;
  }
}

/** What a host can still send, in bits per second; undefined when it does not say. A tenth of all is always left for one more. */
export function idleOf({ maxTxBps, txBps }: HostLoad): number | undefined {
  return maxTxBps > 0 ? Math.max(maxTxBps - txBps, maxTxBps / 10) : undefined;
}

function smoothed(before: number | undefined, measured: number): number {
  return before === undefined ? measured : before + (measured - before) * SMOOTHING;
}

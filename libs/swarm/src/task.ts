import type { HolderCounts } from './holder-counts.ts';
import { LeasePatience } from './lease-patience.ts';
import { Line } from './line.ts';
import { OriginLeases } from './origin-leases.ts';
import type { Peer, PeerView } from './peer.ts';
import { sampleSetBy } from './sample-set.ts';
import type { ReadonlySampleSet } from './sample-set.ts';
import { nextState } from './transition-table.ts';
import type { TransitionTable } from './transition-table.ts';
import type { Zone } from './zone.ts';

/** States of a task under the names that the published protocol puts on the wire. */
export type TaskState = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Leave';

export type TaskEvent = 'download' | 'downloadSucceeded' | 'downloadFailed' | 'leave';

export const TASK_TRANSITIONS = {
  download: { from: ['Pending', 'Succeeded', 'Failed', 'Leave'], to: 'Running' },
  downloadSucceeded: { from: ['Running', 'Failed', 'Leave'], to: 'Succeeded' },
  downloadFailed: { from: ['Running'], to: 'Failed' },
  leave: { from: ['Pending', 'Running', 'Succeeded', 'Failed'], to: 'Leave' },
} as const satisfies TransitionTable<TaskState, TaskEvent>;

/** How the task is being brought into the swarm, beside the leases that are out. */
export type TaskFetch =
  { readonly kind: 'none' } | { readonly kind: 'seedTriggered'; readonly seedHostId: string; readonly sinceMs: number };

/** Length and grid of the content, as far as anybody said. */
export interface TaskSize {
  /** Bytes. */
  readonly contentLength: number | undefined;
  /** Bytes. */
  readonly pieceLength: number | undefined;
  readonly pieceCount: number | undefined;
}

/** Content that is being distributed, as policies and the rest of the program see it. */
export interface TaskView {
  readonly id: string;
  readonly state: TaskState;
  readonly size: TaskSize;
  /** Some peer registered it as one to be fetched with its own credentials: no seed is told of it. */
  readonly isPrivate: boolean;
  readonly fetch: TaskFetch;
  readonly peers: ReadonlySampleSet<PeerView>;
  /** Peers that may be offered as parents. */
  readonly sharers: ReadonlySampleSet<PeerView>;
  /** Those of them that have everything or fetch it from the origin. */
  readonly anchors: ReadonlySampleSet<PeerView>;
  /** Leases out that count against the limit. */
  readonly countedLeases: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

const PeersSet = sampleSetBy('peersAt');
const SharersSet = sampleSetBy('sharersAt');
const AnchorsSet = sampleSetBy('anchorsAt');

/** Owned by the swarm. */
export class Task implements TaskView {
  readonly id: string;
  readonly createdAtMs: number;
  readonly leases: OriginLeases;
  readonly leasePatience = new LeasePatience();
  readonly peers = new PeersSet<Peer>();
  readonly sharers = new SharersSet<Peer>();
  readonly anchors = new AnchorsSet<Peer>();
  /** Peers that are owed an answer, the longest waiting first. */
  readonly waiting = new Line<Peer>();
  /** Peers that were offered parents and have not said that they started. */
  readonly starting = new Line<Peer>();
  /** When a peer last became one of those. */
  lastStartingAtMs = -Infinity;
  /** Sharers that are to have few children, since they have, or fetch, everything first. */
  readonly sources = new Set<Peer>();
  readonly #zones = new Map<string, Zone>();
  /** The zones in the order in which they came. */
  zoneList: readonly Zone[] = [];
  /** Peers whose chain of feeders broke. */
  readonly pathless = new Line<Peer>();
  /** Peers of our own daemons whose parents are not what they were told. */
  readonly stale = new Line<Peer>();
  /** Those that were told of their first parents lately, the earliest first: they get more once others have come. */
  readonly recent: Peer[] = [];
  /** Peers that registered in a crowd, and will be answered together. */
  readonly gathered: Peer[] = [];
  /** Peers of our own daemons that can be answered at once. */
  joining: Peer[] = [];
  /** Registrations since `crowdSinceMs`. */
  crowd = 0;
  crowdSinceMs = -Infinity;
  /** Somebody has had, or fetched, everything since the swarm began. */
  hasBeenAnchored = false;
  /** Peers came with pieces of which the swarm knew nothing: of downloads from before it began. */
  isTakenUp = false;
  /** Seeds that were told to help a swarm that is hot. */
  readonly helpers = new Set<string>();
  /** Who holds how much of it; counted for tasks of many pieces with many peers alone. */
  holders: HolderCounts | undefined;
  /** A peer's number of parents changed. */
  parentsChanged: (child: Peer) => void = () => undefined;
  /** A peer's number of children changed. */
  childrenChanged: (parent: Peer) => void = () => undefined;
  /** Seeds that failed to bring the task in: host id → when. */
  readonly seedFailures = new Map<string, number>();
  /** When the origin refused the request of a seed: the others would fare no better. */
  originRefusedAtMs: number | undefined;
  state: TaskState = 'Pending';
  size: TaskSize = { contentLength: undefined, pieceLength: undefined, pieceCount: undefined };
  isPrivate = false;
  fetch: TaskFetch = { kind: 'none' };
  updatedAtMs: number;
  /** When the task last came closer to having a parent for those who wait. */
  progressAtMs: number;

  constructor(id: string, originLeaseCount: number, nowMs: number) {
    this.id = id;
    this.leases = new OriginLeases(originLeaseCount);
    this.createdAtMs = nowMs;
    this.updatedAtMs = nowMs;
    this.progressAtMs = nowMs;
  }

  /** Where its peers are, by key. */
  get zones(): ReadonlyMap<string, Zone> {
    return this.#zones;
  }

  addZone(zone: Zone): Zone {
    this.#zones.set(zone.key, zone);
    this.zoneList = [...this.#zones.values()];
    return zone;
  }

  removeZone(zone: Zone): void {
    this.#zones.delete(zone.key);
    this.zoneList = [...this.#zones.values()];
  }

  get countedLeases(): number {
    return this.leases.countedLeases;
  }

  /** @returns whether the event was possible */
  apply(event: TaskEvent, nowMs: number): boolean {
    const next = nextState(TASK_TRANSITIONS, this.state, event);
    if (next === undefined) return false;
    this.state = next;
    this.updatedAtMs = nowMs;
    return true;
  }

  /** Fills in what is not known yet; while nobody has any of the content, what is said last counts. */
  learnSize(size: TaskSize): void {
    const known = this.sharers.size === 0 && this.leases.size === 0 ? size : this.size;
    this.size = {
      contentLength: known.contentLength ?? this.size.contentLength ?? size.contentLength,
      pieceLength: known.pieceLength ?? this.size.pieceLength ?? size.pieceLength,
      pieceCount: known.pieceCount ?? this.size.pieceCount ?? size.pieceCount,
    };
  }
}

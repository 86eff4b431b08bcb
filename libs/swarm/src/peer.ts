import type { ByteRange, ReadonlyPieceSet } from '@d7y/piece';
import { PieceSet } from '@d7y/piece';
import type { RegistrationFacts } from './facts.ts';
import type { Host, HostView } from './host.ts';
import type { ReadonlySmallSet } from './small-set.ts';
import { SmallSet } from './small-set.ts';
import { NOWHERE } from './sample-set.ts';
import type { Task, TaskView } from './task.ts';
import { nextState } from './transition-table.ts';
import type { TransitionTable } from './transition-table.ts';
import type { Pool, Zone } from './zone.ts';

/** States of a peer under the names that the published protocol puts on the wire. */
export type PeerState =
  'Pending' | 'ReceivedEmpty' | 'ReceivedNormal' | 'Running' | 'BackToSource' | 'Succeeded' | 'Failed' | 'Leave';

export type PeerEvent =
  | 'registerEmpty'
  | 'registerNormal'
  | 'download'
  | 'downloadBackToSource'
  | 'downloadSucceeded'
  | 'downloadFailed'
  | 'leave';

export const PEER_TRANSITIONS = {
  registerEmpty: { from: ['Pending'], to: 'ReceivedEmpty' },
  registerNormal: { from: ['Pending'], to: 'ReceivedNormal' },
  download: { from: ['ReceivedEmpty', 'ReceivedNormal'], to: 'Running' },
  downloadBackToSource: { from: ['ReceivedEmpty', 'ReceivedNormal', 'Running'], to: 'BackToSource' },
  downloadSucceeded: { from: ['ReceivedEmpty', 'ReceivedNormal', 'Running', 'BackToSource'], to: 'Succeeded' },
  downloadFailed: {
    from: ['Pending', 'ReceivedEmpty', 'ReceivedNormal', 'Running', 'BackToSource', 'Succeeded'],
    to: 'Failed',
  },
  leave: {
    from: ['Pending', 'ReceivedEmpty', 'ReceivedNormal', 'Running', 'BackToSource', 'Succeeded', 'Failed'],
    to: 'Leave',
  },
} as const satisfies TransitionTable<PeerState, PeerEvent>;

/** The published priority of a download: 1 forbids it, 2 forbids the origin, 3 sends this peer to the origin itself. */
export type Priority = 0 | 1 | 2 | 3 | 4 | 5 | 6;

/** Whether the peer can be spoken to. `closed`: the conversation ended as it should. */
export type PeerLink =
  { readonly kind: 'attached' } | { readonly kind: 'lost'; readonly sinceMs: number } | { readonly kind: 'closed' };

/** Whether the peer is owed an answer. */
export type PeerDemand =
  | { readonly kind: 'none' }
  | { readonly kind: 'waiting'; readonly sinceMs: number; readonly cause: 'register' | 'reschedule' };

/** One host's part in one task, as policies and the rest of the program see it. */
export interface PeerView {
  readonly id: string;
  readonly host: HostView;
  readonly task: TaskView;
  readonly priority: Priority;
  /** Pieces that it fetches at the same time. */
  readonly concurrentPieceCount: number;
  /** Set when the peer wants only part of the task. */
  readonly range: ByteRange | undefined;
  readonly needBackToSource: boolean;
  readonly state: PeerState;
  readonly link: PeerLink;
  readonly demand: PeerDemand;
  /** A daemon of ours that fetches, and can be told of parents at any time; who was sent to the origin has its instruction. */
  readonly isListening: boolean;
  readonly finishedPieces: ReadonlyPieceSet;
  /** Whom this peer was last told to fetch from. */
  readonly parents: ReadonlySmallSet<PeerView>;
  /** Who was told to fetch from this peer. */
  readonly children: ReadonlySmallSet<PeerView>;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

export const ATTACHED: PeerLink = { kind: 'attached' };
export const CLOSED: PeerLink = { kind: 'closed' };
export const NO_DEMAND: PeerDemand = { kind: 'none' };

/** What daemons fetch at the same time unless they say otherwise. */
const DEFAULT_CONCURRENT_PIECES = 8;
/** A peer remembers no more refused parents than this; the oldest are forgotten. */
const MAX_BLOCKED_PARENTS = 1000;

/** Owned by the swarm. */
export class Peer implements PeerView {
  readonly id: string;
  readonly host: Host;
  readonly task: Task;
  readonly createdAtMs: number;
  priority: Priority;
  range: ByteRange | undefined;
  needBackToSource: boolean;
  concurrentPieceCount: number;
  state: PeerState = 'Pending';
  link: PeerLink = ATTACHED;
  demand: PeerDemand = NO_DEMAND;
  readonly finishedPieces = new PieceSet();
  readonly parents = new SmallSet<Peer>();
  readonly children = new SmallSet<Peer>();
  /** Ids of peers that are not offered to this one again. */
  #blockedParents: Set<string> | undefined;
  /** Ids of peers that had nothing more to give; they are offered again only once they have everything, or fetch it. */
  #exhaustedParents: Set<string> | undefined;
  updatedAtMs: number;
  offeredAtMs = -Infinity;
  /** Whoever remembers over restarts knows of this peer. */
  isNoted = false;
  /** Through whom it has a path to everything: the first of a chain of parents that ends at an anchor. */
  feeder: Peer | undefined;
  /** How long that chain was when it was found; a hint where a short one is. */
  depth = 0;
  /** The one parent, if any, that is only to be asked when the neighbours have starved this peer. */
  fallback: Peer | undefined;
  /** Where it stands for exchange; undefined when it does not. */
  zone: Zone | undefined;
  /** Those of the zone with whom it is. */
  pool: Pool | undefined;
  /** Counted among the copies of its zone. */
  isCopy = false;
  // Its places in the sets of its task and its zone.
  peersAt = NOWHERE;
  sharersAt = NOWHERE;
  anchorsAt = NOWHERE;
  openAt = NOWHERE;
  hungryAt = NOWHERE;

  constructor(
    id: string,
    host: Host,
    task: Task,
    registration: Pick<RegistrationFacts, 'priority' | 'range' | 'needBackToSource' | 'concurrentPieceCount'>,
    nowMs: number,
  ) {
    this.id = id;
    this.host = host;
    this.task = task;
    this.priority = registration.priority;
    this.range = registration.range;
    this.needBackToSource = registration.needBackToSource;
    this.concurrentPieceCount = registration.concurrentPieceCount || DEFAULT_CONCURRENT_PIECES;
    this.createdAtMs = nowMs;
    this.updatedAtMs = nowMs;
  }

  /** Neither finished nor given up. */
  get isActive(): boolean {
    return this.state !== 'Succeeded' && this.state !== 'Failed' && this.state !== 'Leave';
  }

  get isListening(): boolean {
    const { host, link, state, demand } = this;
    if (!host.isOwn || link.kind !== 'attached' || demand.kind !== 'none') return false;
    return state === 'ReceivedNormal' || state === 'Running';
  }

  /** Has, or is about to have, pieces for others, and can be reached as far as we know. */
  get isSharer(): boolean {
    if (!this.host.isFit) return false;
    if (this.state === 'Succeeded') return true;
    if (this.link.kind !== 'attached') return false;
    if (this.state === 'BackToSource') return true;
    return this.state === 'Running' && (this.finishedPieces.size > 0 || this.parents.size > 0);
  }

  /** Passes on what it gets, or will as soon as it has begun: children may be told of it, daemons of ours even now. */
  get isFeeding(): boolean {
    if (this.isSharer) return true;
    const { host, state, link, parents } = this;
    return host.isFit && host.isOwn && link.kind === 'attached' && state === 'ReceivedNormal' && parents.size > 0;
  }

  /** Has everything and is meant to give it to a few: a seed, or whoever fetches from the origin. */
  get isSource(): boolean {
    return this.state === 'BackToSource' || (this.host.isSeed && this.state === 'Succeeded');
  }

  /** A sharer that has every byte of the task or is entitled to fetch them from the origin. */
  get isAnchor(): boolean {
    if (this.range !== undefined || !this.isSharer) return false;
    return this.state === 'Succeeded' || (this.state === 'BackToSource' && this.task.leases.isHeldBy(this));
  }

  /** Has every byte that it wants, and gives it, or is an anchor: where a chain of parents may end. */
  get isSpring(): boolean {
    return (this.state === 'Succeeded' && this.isSharer) || this.isAnchor;
  }

  /** @returns whether the event was possible */
  apply(event: PeerEvent, nowMs: number): boolean {
    const next = nextState(PEER_TRANSITIONS, this.state, event);
    if (next === undefined) return false;
    this.state = next;
    this.updatedAtMs = nowMs;
    return true;
  }

  /** It is known from before a restart to have the whole task. */
  recall(): void {
    this.state = 'Succeeded';
    this.link = CLOSED;
    this.isNoted = true;
  }

  /** Whether the parent is not to be offered to this peer, as things are. */
  refuses(parent: Peer): boolean {
    return (
      this.#blockedParents?.has(parent.id) === true ||
      (this.#exhaustedParents?.has(parent.id) === true && !parent.isAnchor)
    );
  }

  block(parentId: string): void {
    remember((this.#blockedParents ??= new Set()), parentId);
  }

  exhaust(parentId: string): void {
    remember((this.#exhaustedParents ??= new Set()), parentId);
  }

  addParent(parent: Peer): void {
    if (!this.parents.add(parent)) return;
    parent.children.add(this);
    parent.host.childCount++;
    this.task.parentsChanged(this);
    this.task.childrenChanged(parent);
  }

  removeParent(parent: Peer): void {
    if (!this.parents.delete(parent)) return;
    parent.children.delete(this);
    parent.host.childCount--;
    if (this.fallback === parent) this.fallback = undefined;
    if (this.feeder === parent) {
      this.feeder = undefined;
      this.task.pathless.add(this);
    }
    this.task.parentsChanged(this);
    this.task.childrenChanged(parent);
  }

  dropParents(): void {
    if (this.parents.size === 0) return;
    this.fallback = undefined;
    if (this.feeder !== undefined && this.parents.has(this.feeder)) {
      this.feeder = undefined;
      // Whoever is at its end needs none any more.
      if (this.isActive) this.task.pathless.add(this);
    }
    for (const parent of this.parents.takeAll()) {
      parent.children.delete(this);
      parent.host.childCount--;
      this.task.childrenChanged(parent);
    }
    this.task.parentsChanged(this);
  }

  dropChildren(): void {
    for (const child of this.children) child.removeParent(this);
  }
}

function remember(ids: Set<string>, id: string): void {
  ids.add(id);
  if (ids.size <= MAX_BLOCKED_PARENTS) return;
  const [oldest] = ids;
  if (oldest !== undefined) ids.delete(oldest);
}

import type { ByteRange, ReadonlyPieceSet } from '@d7y/piece';
import { PieceSet } from '@d7y/piece';
import type { RegistrationFacts } from './facts.ts';
import type { Host, HostView } from './host.ts';
import type { Task, TaskView } from './task.ts';
import { nextState } from './transition-table.ts';
import type { TransitionTable } from './transition-table.ts';

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
  /** Set when the peer wants only part of the task. */
  readonly range: ByteRange | undefined;
  readonly needBackToSource: boolean;
  readonly state: PeerState;
  readonly link: PeerLink;
  readonly demand: PeerDemand;
  readonly finishedPieces: ReadonlyPieceSet;
  /** Whom this peer was last told to fetch from. */
  readonly parents: ReadonlySet<PeerView>;
  /** Who was told to fetch from this peer. */
  readonly children: ReadonlySet<PeerView>;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

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
  link: PeerLink = { kind: 'attached' };
  demand: PeerDemand = { kind: 'none' };
  readonly finishedPieces = new PieceSet();
  readonly parents = new Set<Peer>();
  readonly children = new Set<Peer>();
  /** Ids of peers that are not offered to this one again. */
  readonly blockedParents = new Set<string>();
  /** Ids of peers that had nothing more to give; they are offered again only once they have everything, or fetch it. */
  readonly exhaustedParents = new Set<string>();
  updatedAtMs: number;
  offeredAtMs = -Infinity;

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

  /** Has, or is about to have, pieces for others, and can be reached as far as we know. */
  get isSharer(): boolean {
    const { facts, state, isLeaving } = this.host;
    if (facts.disableShared || state.kind === 'lost' || isLeaving) return false;
    if (this.state === 'Succeeded') return true;
    if (this.link.kind !== 'attached') return false;
    if (this.state === 'BackToSource') return true;
    return this.state === 'Running' && (this.finishedPieces.size > 0 || this.parents.size > 0);
  }

  /** A sharer that has every byte of the task or is entitled to fetch them from the origin. */
  get isAnchor(): boolean {
    if (this.range !== undefined || !this.isSharer) return false;
    return this.state === 'Succeeded' || (this.state === 'BackToSource' && this.task.leases.isHeldBy(this));
  }

  /** @returns whether the event was possible */
  apply(event: PeerEvent, nowMs: number): boolean {
    const next = nextState(PEER_TRANSITIONS, this.state, event);
    if (next === undefined) return false;
    this.state = next;
    this.updatedAtMs = nowMs;
    return true;
  }

  /** Whether the parent is not to be offered to this peer, as things are. */
  refuses(parent: Peer): boolean {
    return this.blockedParents.has(parent.id) || (this.exhaustedParents.has(parent.id) && !parent.isAnchor);
  }

  block(parentId: string): void {
    remember(this.blockedParents, parentId);
  }

  exhaust(parentId: string): void {
    remember(this.exhaustedParents, parentId);
  }

  addParent(parent: Peer): void {
    if (this.parents.has(parent)) return;
    this.parents.add(parent);
    parent.children.add(this);
    parent.host.countChild(this, 1);
  }

  removeParent(parent: Peer): void {
    if (!this.parents.delete(parent)) return;
    parent.children.delete(this);
    parent.host.countChild(this, -1);
  }

  dropParents(): void {
    for (const parent of this.parents) this.removeParent(parent);
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

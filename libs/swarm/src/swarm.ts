// Who owns what: the swarm owns all hosts, tasks and peers and is the only one to change them. Facts come in through its
// methods, each with the time at which it became known, and every method returns what is to be done about it. There is
// no clock, no timer and no randomness in here but what is passed in.
import type { ByteRange } from '@d7y/piece';
import { descendantsOf } from './ancestry.ts';
import { Blame } from './blame.ts';
import type { Decision, RefusalCode } from './decision.ts';
import { Host } from './host.ts';
import type { HostFacts, HostView } from './host.ts';
import { Peer } from './peer.ts';
import type { PeerDemand, PeerState, PeerView, Priority } from './peer.ts';
import { SeedDirectory } from './seed-directory.ts';
import { DEFAULT_SWARM_OPTIONS } from './swarm-options.ts';
import type { SwarmOptions } from './swarm-options.ts';
import { Task } from './task.ts';
import type { TaskSize, TaskView } from './task.ts';

/** A peer introduces itself, for the first time or again after its conversation broke. */
export interface RegistrationFacts extends TaskSize {
  readonly hostId: string;
  readonly taskId: string;
  readonly peerId: string;
  readonly priority: Priority;
  readonly range: ByteRange | undefined;
  /** Asks for the origin rather than for parents. */
  readonly needBackToSource: boolean;
  /** Holds everything already and only says so. */
  readonly metadataOnly: boolean;
}

/** How a download ended. */
export interface EndFacts {
  /** The bytes came, or should have come, from the origin. */
  readonly fromOrigin: boolean;
}

/** Numbers of what the swarm holds. */
export interface SwarmCounts {
  readonly hosts: number;
  readonly tasks: number;
  readonly peers: number;
  readonly waitingPeers: number;
  readonly peersByState: Readonly<Record<PeerState, number>>;
}

const NO_DEMAND: PeerDemand = { kind: 'none' };
/** The largest piece number that is believed; the grid allows some ten thousand pieces. */
const MAX_PIECE_NUMBER = 2 ** 20;
/** Complaints of so many children make a host worth a look before they take it out of the offers. */
const COMPLAINTS_WORTH_A_PROBE = 2;

/** The scheduler's knowledge and judgement, without its network. */
export class Swarm {
  readonly #options: SwarmOptions;
  readonly #random: () => number;
  readonly #hosts = new Map<string, Host>();
  readonly #tasks = new Map<string, Task>();
  readonly #peers = new Map<string, Peer>();
  readonly #ownHostIds = new Set<string>();
  readonly #seeds = new SeedDirectory();
  readonly #blame: Blame;
  readonly #settledAtMs: number;
  #isSettled = false;
  /** Peers whose conversation broke and who may come back. */
  readonly #lost = new Set<Peer>();
  /** Tasks with children that are owed an answer. */
  readonly #waitingTasks = new Set<Task>();
  /** Tasks with new parents that children of ours may not have heard of. */
  readonly #refreshable = new Set<Task>();
  readonly #toWake = new Set<Task>();
  readonly #toServe = new Set<Peer>();
  #decisions: Decision[] = [];
  #peerGcAtMs: number;
  #taskGcAtMs: number;
  #hostGcAtMs: number;

  /** @param random uniform in [0, 1); @param nowMs when the swarm begins */
  constructor(options: Partial<SwarmOptions>, random: () => number, nowMs: number) {
    this.#options = { ...DEFAULT_SWARM_OPTIONS, ...options };
    this.#random = random;
    this.#blame = new Blame(this.#options.probation);
    this.#settledAtMs = nowMs + this.#options.settleMs;
    this.#peerGcAtMs = this.#taskGcAtMs = this.#hostGcAtMs = nowMs;
  }

  host(hostId: string): HostView | undefined {
    return this.#hosts.get(hostId);
  }

  task(taskId: string): TaskView | undefined {
    return this.#tasks.get(taskId);
  }

  peer(peerId: string): PeerView | undefined {
    return this.#peers.get(peerId);
  }

  hosts(): Iterable<HostView> {
    return this.#hosts.values();
  }

  /** Looks at every peer: meant for metrics. */
  counts(): SwarmCounts {
    const peersByState: Record<PeerState, number> = {
      Pending: 0,
      ReceivedEmpty: 0,
      ReceivedNormal: 0,
      Running: 0,
      BackToSource: 0,
      Succeeded: 0,
      Failed: 0,
      Leave: 0,
    };
    for (const { state } of this.#peers.values()) peersByState[state]++;
    let waitingPeers = 0;
    for (const { waiting } of this.#waitingTasks) waitingPeers += waiting.size;
    return {
      hosts: this.#hosts.size,
      tasks: this.#tasks.size,
      peers: this.#peers.size,
      waitingPeers,
      peersByState,
    };
  }

  /** @returns undefined when the table of hosts is full and the host is not in it */
  hostAnnounced(facts: HostFacts, nowMs: number): Decision[] | undefined {
    let host = this.#hosts.get(facts.id);
    if (host !== undefined && host.facts.kind !== facts.kind) {
      this.#removeHost(host, nowMs);
      host = undefined;
    }
    if (host === undefined) {
      if (this.#hosts.size >= this.#options.maxHosts) return undefined;
      host = new Host(facts, this.#ownHostIds.has(facts.id), nowMs);
      this.#hosts.set(facts.id, host);
      if (host.isSeed) this.#seeds.add(host);
    } else {
      host.facts = facts;
      host.announcedAtMs = host.heardAtMs = nowMs;
      host.apply('announced', nowMs);
      this.#seeds.changed();
      this.#reindexHost(host);
    }
    if (host.state.kind === 'unproven') this.#decisions.push({ kind: 'probeHost', hostId: host.id });
    return this.#settle(nowMs);
  }

  /** The host introduced itself as a program of ours; may come before its announcement. */
  hostRecognised(hostId: string): void {
    if (this.#ownHostIds.size < this.#options.maxHosts) this.#ownHostIds.add(hostId);
    const host = this.#hosts.get(hostId);
    if (host !== undefined) host.isOwn = true;
  }

  hostLeft(hostId: string, nowMs: number): Decision[] {
    const host = this.#hosts.get(hostId);
    if (host !== undefined) this.#removeHost(host, nowMs);
    this.#ownHostIds.delete(hostId);
    return this.#settle(nowMs);
  }

  /** Result of a health check. */
  hostProbed(hostId: string, isHealthy: boolean, nowMs: number): Decision[] {
    const host = this.#hosts.get(hostId);
    if (host === undefined) return [];
    const { state } = host;
    if (isHealthy) {
      host.heardAtMs = nowMs;
      if (host.apply('proved', nowMs)) this.#hostChanged(host);
    } else if (state.kind === 'alive') {
      // One missed check is no proof: a busy host answers late.
      this.#doubt(host, nowMs);
    } else if (state.kind !== 'suspect' || host.heardAtMs <= state.sinceMs) {
      if (host.apply('missed', nowMs)) this.#hostLost(host, nowMs);
    }
    return this.#settle(nowMs);
  }

  peerRegistered(facts: RegistrationFacts, nowMs: number): Decision[] {
    const host = this.#hosts.get(facts.hostId);
    if (host === undefined) {
      return [refusal(facts.peerId, 'notFound', `host ${facts.hostId} has not announced itself`)];
    }
    const known = this.#peers.get(facts.peerId);
    if (known !== undefined && (known.host !== host || known.task.id !== facts.taskId)) {
      return [refusal(facts.peerId, 'failedPrecondition', `peer ${facts.peerId} belongs to another host or task`)];
    }
    if (known?.isActive === false) this.#removePeer(known, nowMs);
    const peer = known?.isActive ? known : this.#createPeer(facts, host, nowMs);
    if (peer === undefined) return [refusal(facts.peerId, 'resourceExhausted', 'the scheduler holds all it can')];
    this.#heard(host, nowMs);
    const { task } = peer;
    for (const other of this.#lost)
      if (other.host === host && other.task === task && other !== peer) this.#removePeer(other, nowMs);
    this.#lost.delete(peer);
    peer.link = { kind: 'attached' };
    peer.priority = facts.priority;
    peer.range = facts.range;
    peer.needBackToSource = facts.needBackToSource;
    if (facts.priority === 3) task.isPrivate = true;
    task.learnSize(facts);
    task.apply('download', nowMs);
    if (facts.metadataOnly) {
      peer.apply('registerNormal', nowMs);
      this.#decisions.push({ kind: 'answerMetadataOnly', peerId: peer.id });
    } else if (task.size.contentLength === 0) {
      peer.apply('registerEmpty', nowMs);
      this.#decisions.push({ kind: 'answerEmpty', peerId: peer.id });
    } else {
      peer.apply('registerNormal', nowMs);
      this.#await(peer, 'register', nowMs);
    }
    this.#reindex(peer);
    return this.#settle(nowMs);
  }

  /** The peer is fetching from its parents. */
  peerStarted(peerId: string, nowMs: number): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      peer.apply('download', nowMs);
      peer.task.starting.delete(peer);
      this.#wake(peer.task);
      this.#reindex(peer);
    });
  }

  backToSourceStarted(peerId: string, nowMs: number): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      if (!peer.apply('downloadBackToSource', nowMs)) return;
      const { task } = peer;
      // Also where nobody granted it: whoever is at the origin anyway shall be the only one.
      task.leases.grant(peer, leaseKindFor(peer), nowMs);
      peer.dropParents();
      this.#fetchArrived(task, peer.host, nowMs);
      task.progressAtMs = nowMs;
      this.#reindex(peer);
    });
  }

  /** @param parentId undefined when the piece came from the origin */
  pieceFinished(peerId: string, pieceNumber: number, parentId: string | undefined, nowMs: number): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      const limit = peer.task.size.pieceCount ?? MAX_PIECE_NUMBER;
      if (!Number.isInteger(pieceNumber) || pieceNumber < 0 || pieceNumber >= Math.min(limit, MAX_PIECE_NUMBER)) return;
      peer.updatedAtMs = peer.task.updatedAtMs = nowMs;
      if (peer.finishedPieces.add(pieceNumber) && peer.finishedPieces.size === 1) this.#reindex(peer);
      const parent = parentId === undefined ? undefined : this.#peers.get(parentId);
      if (parent === undefined) return;
      parent.updatedAtMs = nowMs;
      this.#heard(parent.host, nowMs);
    });
  }

  /** A parent could not deliver, or delivered wrong bytes. */
  pieceFailed(peerId: string, parentId: string, nowMs: number): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      this.#block(peer, parentId);
      const parent = this.#peers.get(parentId);
      if (parent === undefined || parent.task !== peer.task || parent.host === peer.host) return;
      const complainants = this.#blame.complain(parent.host, peer.host.id, nowMs);
      if (complainants === COMPLAINTS_WORTH_A_PROBE)
        this.#decisions.push({ kind: 'probeHost', hostId: parent.host.id });
      this.#reindex(peer);
      this.#refreshable.add(peer.task);
    });
  }

  /** A piece could not be had from the origin; the download may go on. */
  originPieceFailed(peerId: string, nowMs: number): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      peer.updatedAtMs = nowMs;
    });
  }

  /** The parents offered so far will not do. @param exhaustedParentIds not to be offered to this peer again */
  rescheduleRequested(peerId: string, exhaustedParentIds: Iterable<string>, nowMs: number): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      if (!peer.isActive) return;
      for (const parentId of exhaustedParentIds) this.#block(peer, parentId);
      this.#await(peer, 'reschedule', nowMs);
      this.#reindex(peer);
    });
  }

  peerFinished(peerId: string, facts: EndFacts, nowMs: number): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      const { task } = peer;
      if (peer.apply('downloadSucceeded', nowMs) && peer.range === undefined) {
        if (facts.fromOrigin) task.apply('downloadSucceeded', nowMs);
        this.#fetchArrived(task, peer.host, nowMs);
      }
      this.#conclude(peer);
    });
  }

  /** @param facts.originStatus what the origin answered, when it did */
  peerFailed(
    peerId: string,
    facts: EndFacts & { readonly originStatus?: number | undefined },
    nowMs: number,
  ): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      const { task } = peer;
      if (facts.fromOrigin) {
        task.apply('downloadFailed', nowMs);
        if (peer.host.isSeed && isRefusal(facts.originStatus)) task.originRefusedAtMs = nowMs;
      }
      peer.apply('downloadFailed', nowMs);
      this.#seedFailed(task, peer.host, nowMs);
      this.#conclude(peer);
      this.#dropChildren(peer);
    });
  }

  /** The conversation with the peer broke without a last word. */
  streamLost(peerId: string, nowMs: number): Decision[] {
    const peer = this.#peers.get(peerId);
    if (peer?.link.kind !== 'attached' || !peer.isActive) return [];
    this.#answered(peer);
    this.#doubt(peer.host, nowMs);
    if (peer.task.leases.isHeldBy(peer) || peer.finishedPieces.size > 0 || peer.state === 'Running') {
      peer.link = { kind: 'lost', sinceMs: nowMs };
      this.#lost.add(peer);
      this.#reindex(peer);
    } else {
      this.#removePeer(peer, nowMs);
    }
    return this.#settle(nowMs);
  }

  /** The trigger could not be delivered, or the seed answered it with an error. */
  seedTriggerFailed(taskId: string, seedHostId: string, nowMs: number): Decision[] {
    const task = this.#tasks.get(taskId);
    const host = this.#hosts.get(seedHostId);
    if (host !== undefined) this.#doubt(host, nowMs);
    if (task !== undefined) this.#triggerFailed(task, seedHostId, nowMs);
    return this.#settle(nowMs);
  }

  /** The seed says that it has done what it was triggered for. */
  seedTriggerEnded(taskId: string, seedHostId: string, nowMs: number): Decision[] {
    const task = this.#tasks.get(taskId);
    // A seed that never told us of a copy is of no use to those who wait, whatever it has.
    if (task !== undefined) this.#triggerFailed(task, seedHostId, nowMs);
    return this.#settle(nowMs);
  }

  /** The peer is to be forgotten, whatever it is doing. */
  deletePeer(peerId: string, nowMs: number): Decision[] {
    const peer = this.#peers.get(peerId);
    if (peer !== undefined) this.#removePeer(peer, nowMs);
    return this.#settle(nowMs);
  }

  /** The host no longer has the content. */
  deleteTask(hostId: string, taskId: string, nowMs: number): Decision[] {
    const task = this.#tasks.get(taskId);
    if (task !== undefined) {
      for (const peer of [...task.peers]) if (peer.host.id === hostId) this.#removePeer(peer, nowMs);
    }
    return this.#settle(nowMs);
  }

  /** Deadlines, graces, further offers and expiry; to be called a few times a second. */
  tick(nowMs: number): Decision[] {
    if (!this.#isSettled && nowMs >= this.#settledAtMs) {
      this.#isSettled = true;
      for (const task of this.#waitingTasks) this.#wake(task);
    }
    for (const peer of this.#lost) this.#expireLost(peer, nowMs);
    for (const task of this.#waitingTasks) if (task.starting.size > 0) this.#wake(task);
    const decisions = this.#settle(nowMs);
    for (const task of this.#waitingTasks) this.#enforceDeadline(task, nowMs);
    for (const task of this.#refreshable) this.#refreshOffers(task, nowMs);
    this.#collectGarbage(nowMs);
    return [...decisions, ...this.#settle(nowMs)];
  }

  // --- answers -------------------------------------------------------------------------------------------------------

  #await(peer: Peer, cause: 'register' | 'reschedule', nowMs: number): void {
    peer.demand = { kind: 'waiting', sinceMs: nowMs, cause };
    peer.task.waiting.add(peer);
    this.#waitingTasks.add(peer.task);
    this.#toServe.add(peer);
  }

  #answered(peer: Peer): void {
    peer.demand = NO_DEMAND;
    peer.task.waiting.delete(peer);
    if (peer.task.waiting.size === 0) this.#waitingTasks.delete(peer.task);
  }

  #wake(task: Task): void {
    if (task.waiting.size > 0) this.#toWake.add(task);
  }

  /** Serves whoever can be served by now, and hands over the decisions. */
  #settle(nowMs: number): Decision[] {
    for (const child of this.#toServe) {
      this.#toServe.delete(child);
      if (child.demand.kind === 'waiting') this.#serve(child, nowMs);
    }
    for (const task of this.#toWake) {
      this.#toWake.delete(task);
      this.#serveAll(task, nowMs);
    }
    const decisions = this.#decisions;
    this.#decisions = [];
    return decisions;
  }

  #serveAll(task: Task, nowMs: number): void {
    let areGathering = false;
    for (const child of task.isPrivate ? leaseOrder(task) : task.waiting) {
      // Where one stock child had better wait for others to start, so had all that came after it.
      if (child.demand.kind !== 'waiting' || (areGathering && !child.host.isOwn)) continue;
      if (this.#serve(child, nowMs) === 'gathering') areGathering = true;
    }
  }

  /** Answers a waiting child, or leaves it waiting for the next event. */
  #serve(child: Peer, nowMs: number): 'answered' | 'gathering' | 'waiting' {
    const { task, demand } = child;
    if (task.leases.isHeldBy(child)) {
      this.#grant(child, 'the origin lease is still held', nowMs);
      return 'answered';
    }
    const isAtOrigin = child.needBackToSource || child.state === 'BackToSource';
    if (isAtOrigin && task.leases.isFree) {
      this.#grant(child, 'asked for the origin', nowMs);
      return 'answered';
    }
    const parents = this.#chooseParents(child, nowMs);
    const isAnchored = parents.some((parent) => parent.isAnchor);
    const isOrphaned = task.anchors.size === 0;
    // Without an anchor anywhere, a child that found its parents wanting is the one to mend it. A stock child is told of
    // parents once only, so it waits for the anchor that is under way.
    const isGoodEnough = isAnchored || !isOrphaned || (demand.kind === 'waiting' && demand.cause === 'register');
    if (parents.length > 0 && isGoodEnough && (isAnchored || child.host.isOwn || !this.#isFetchUnderWay(child))) {
      if (!child.host.isOwn && this.#isWorthGathering(task, parents, nowMs)) return 'gathering';
      this.#offer(child, parents, nowMs);
      return 'answered';
    }
    if (!this.#isFetchUnderWay(child)) this.#fetchFirst(child, nowMs);
    return child.demand.kind === 'waiting' ? 'waiting' : 'answered';
  }

  /**
   * A stock child hears of parents once. In a crowd that starts at the same moment it would be sent to the only anchor
   * like all the others; a moment later those who were served first can be its parents.
   */
  #isWorthGathering(task: Task, parents: readonly Peer[], nowMs: number): boolean {
    const { candidateParentLimit, gatherMs } = this.#options;
    const areFew = parents.length < candidateParentLimit;
    if (!areFew && parents.some(({ children }) => children.size < candidateParentLimit)) return false;
    for (const peer of task.starting) if (nowMs - peer.offeredAtMs < gatherMs) return true;
    return false;
  }

  /** Somebody is about to have the content and will then be a parent for this child. */
  #isFetchUnderWay(child: Peer): boolean {
    const { fetch, leases } = child.task;
    if (fetch.kind === 'seedTriggered') return true;
    for (const holder of leases.holders) {
      if (holder !== child && holder.state !== 'BackToSource' && !holder.host.facts.disableShared) return true;
    }
    return false;
  }

  /** Nobody can be this child's parent: a seed, or the child itself, must fetch. */
  #fetchFirst(child: Peer, nowMs: number): void {
    const { task, priority } = child;
    if (priority === 1) {
      this.#refuse(child, 'failedPrecondition', 'downloads of this priority are forbidden', nowMs);
      return;
    }
    if (priority === 2) {
      this.#refuse(child, 'notFound', 'nobody has the task, and this priority bars the origin', nowMs);
      return;
    }
    if (this.#mayTriggerSeed(child, nowMs)) {
      const seed = this.#seeds.forTask(task.id).find((host) => this.#canSeedFetch(host, child, nowMs));
      if (seed !== undefined) {
        task.fetch = { kind: 'seedTriggered', seedHostId: seed.id, sinceMs: nowMs };
        task.progressAtMs = nowMs;
        this.#decisions.push({ kind: 'triggerSeed', taskId: task.id, seedHostId: seed.id, peerId: child.id });
        return;
      }
      if (this.#seeds.hasUnproven || (nowMs < this.#settledAtMs && this.#seeds.forTask(task.id).length === 0)) return;
    }
    if (task.leases.isFree) this.#grant(child, 'no parent and no seed has the task', nowMs);
  }

  #mayTriggerSeed({ host, priority, task, finishedPieces }: Peer, nowMs: number): boolean {
    if (!this.#options.seedsEnabled || host.isSeed || priority === 3 || task.isPrivate) return false;
    if (task.originRefusedAtMs !== undefined && nowMs - task.originRefusedAtMs < this.#options.seedFailureMemoryMs)
      return false;
    // Where part of the content is in the swarm already, the child fetches what is missing; a seed would fetch all of it.
    if (finishedPieces.size > 0) return false;
    for (const sharer of task.sharers) if (sharer.host !== host) return false;
    return true;
  }

  #canSeedFetch(seed: Host, child: Peer, nowMs: number): boolean {
    const failedAtMs = child.task.seedFailures.get(seed.id) ?? -Infinity;
    return (
      seed !== child.host &&
      nowMs - failedAtMs >= this.#options.seedFailureMemoryMs &&
      !this.#blame.isOnProbation(seed, nowMs)
    );
  }

  #chooseParents(child: Peer, nowMs: number): readonly Peer[] {
    const { policy, candidateParentLimit, ownCandidateParentLimit } = this.#options;
    const limit = child.host.isOwn ? ownCandidateParentLimit : candidateParentLimit;
    let descendants: { readonly all: ReadonlySet<PeerView> | undefined } | undefined;
    const mayServe = (view: PeerView): boolean => {
      const parent = this.#peers.get(view.id);
      if (parent === undefined || parent.task !== child.task || parent.host === child.host || !parent.isSharer)
        return false;
      if (child.blockedParents.has(parent.id) || this.#blame.isOnProbation(parent.host, nowMs)) return false;
      // Daemons of ours know of every piece where it is; between any others, bytes must not be able to run in a circle.
      if (child.host.isOwn && parent.host.isOwn) return true;
      if (child.children.size === 0 || parent.parents.size === 0) return true;
      descendants ??= { all: descendantsOf(child) };
      return descendants.all?.has(parent) === false;
    };
    return policy.chooseParents({ child, limit, mayServe, random: this.#random }).flatMap((view) => {
      const parent = this.#peers.get(view.id);
      return parent !== undefined && mayServe(parent) ? [parent] : [];
    });
  }

  #offer(child: Peer, parents: readonly Peer[], nowMs: number): void {
    this.#answered(child);
    child.dropParents();
    for (const parent of parents) child.addParent(parent);
    child.offeredAtMs = nowMs;
    if (child.state === 'ReceivedNormal') child.task.starting.add(child);
    this.#decisions.push({ kind: 'offerParents', peerId: child.id, parentIds: parents.map(({ id }) => id) });
    this.#reindex(child);
  }

  #grant(child: Peer, reason: string, nowMs: number): void {
    const { task } = child;
    this.#answered(child);
    task.leases.grant(child, leaseKindFor(child), nowMs);
    task.progressAtMs = nowMs;
    child.dropParents();
    this.#decisions.push({ kind: 'grantOrigin', peerId: child.id, reason });
    this.#reindex(child);
  }

  #refuse(child: Peer, code: RefusalCode, reason: string, nowMs: number): void {
    this.#decisions.push(refusal(child.id, code, reason));
    this.#removePeer(child, nowMs);
  }

  /** Tells daemons of ours that need more parents of those that have come. */
  #refreshOffers(task: Task, nowMs: number): void {
    let isDeferred = false;
    for (const child of [...task.underfed]) {
      if (nowMs - child.offeredAtMs < this.#options.offerRefreshMs) {
        isDeferred = true;
        continue;
      }
      const chosen = this.#chooseParents(child, nowMs);
      const kept = [...child.parents].filter((parent) => parent.isSharer && !child.blockedParents.has(parent.id));
      const isAnchored = kept.some((parent) => parent.isAnchor);
      const fresh = chosen.filter((parent) => !child.parents.has(parent));
      fresh.sort((a, b) => (isAnchored ? 0 : Number(b.isAnchor) - Number(a.isAnchor)));
      const room = this.#options.ownCandidateParentLimit - kept.length;
      const added = fresh.slice(0, Math.max(room, isAnchored ? 0 : 1));
      if (added.length > 0)
        this.#offer(child, [...added, ...kept].slice(0, this.#options.ownCandidateParentLimit), nowMs);
    }
    if (!isDeferred) this.#refreshable.delete(task);
  }

  #enforceDeadline(task: Task, nowMs: number): void {
    const { waitDeadlineMs, maxWaitMs } = this.#options;
    for (const child of leaseOrder(task)) {
      if (child.demand.kind !== 'waiting') continue;
      const { sinceMs } = child.demand;
      const isStalled = nowMs - Math.max(sinceMs, task.progressAtMs) >= waitDeadlineMs;
      if (!isStalled && nowMs - sinceMs < maxWaitMs) continue;
      if (task.fetch.kind === 'seedTriggered') this.#triggerFailed(task, task.fetch.seedHostId, nowMs);
      if (child.priority === 1 || child.priority === 2) {
        this.#refuse(child, 'failedPrecondition', 'no parent came in time, and this priority bars the origin', nowMs);
      } else {
        this.#grant(child, 'no parent came in time', nowMs);
      }
    }
  }

  // --- seeds ---------------------------------------------------------------------------------------------------------

  /** The triggered seed has begun, or has everything. */
  #fetchArrived(task: Task, host: Host, nowMs: number): void {
    if (task.fetch.kind !== 'seedTriggered' || task.fetch.seedHostId !== host.id) return;
    task.fetch = { kind: 'none' };
    task.progressAtMs = nowMs;
  }

  /** Forgets a trigger that is still pending, and remembers the failure. */
  #triggerFailed(task: Task, seedHostId: string, nowMs: number): void {
    if (task.fetch.kind !== 'seedTriggered' || task.fetch.seedHostId !== seedHostId) return;
    task.fetch = { kind: 'none' };
    task.progressAtMs = nowMs;
    task.seedFailures.set(seedHostId, nowMs);
    this.#wake(task);
  }

  /** A seed's download came to nothing. */
  #seedFailed(task: Task, host: Host, nowMs: number): void {
    if (!host.isSeed) return;
    this.#triggerFailed(task, host.id, nowMs);
    task.seedFailures.set(host.id, nowMs);
  }

  // --- hosts ---------------------------------------------------------------------------------------------------------

  #heard(host: Host, nowMs: number): void {
    host.heardAtMs = nowMs;
    if (host.apply('heard', nowMs)) this.#hostChanged(host);
  }

  #doubt(host: Host, nowMs: number): void {
    if (host.apply('doubted', nowMs)) this.#decisions.push({ kind: 'probeHost', hostId: host.id });
  }

  #hostChanged(host: Host): void {
    this.#reindexHost(host);
    if (!host.isSeed) return;
    this.#seeds.changed();
    for (const task of this.#waitingTasks) this.#wake(task);
  }

  #hostLost(host: Host, nowMs: number): void {
    for (const peer of host.peers) {
      if (peer.task.leases.release(peer)) this.#wake(peer.task);
      this.#triggerFailed(peer.task, host.id, nowMs);
    }
    for (const task of this.#waitingTasks) this.#triggerFailed(task, host.id, nowMs);
    this.#hostChanged(host);
  }

  #removeHost(host: Host, nowMs: number): void {
    this.#hosts.delete(host.id);
    if (host.isSeed) this.#seeds.delete(host);
    for (const task of this.#waitingTasks) this.#triggerFailed(task, host.id, nowMs);
    for (const peer of [...host.peers]) this.#removePeer(peer, nowMs);
  }

  #reindexHost(host: Host): void {
    for (const peer of host.peers) this.#reindex(peer);
  }

  // --- peers ---------------------------------------------------------------------------------------------------------

  #withPeer(peerId: string, nowMs: number, change: (peer: Peer) => void): Decision[] {
    const peer = this.#peers.get(peerId);
    if (peer === undefined) return [];
    this.#heard(peer.host, nowMs);
    change(peer);
    return this.#settle(nowMs);
  }

  #createPeer(facts: RegistrationFacts, host: Host, nowMs: number): Peer | undefined {
    let task = this.#tasks.get(facts.taskId);
    if (this.#peers.size >= this.#options.maxPeers) return undefined;
    if (task === undefined) {
      if (this.#tasks.size >= this.#options.maxTasks) return undefined;
      task = new Task(facts.taskId, this.#options.originLeaseCount, nowMs);
      this.#tasks.set(task.id, task);
    }
    const peer = new Peer(facts.peerId, host, task, facts, nowMs);
    this.#peers.set(peer.id, peer);
    host.peers.add(peer);
    task.peers.add(peer);
    return peer;
  }

  #block(peer: Peer, parentId: string): void {
    peer.block(parentId);
    const parent = this.#peers.get(parentId);
    if (parent !== undefined) peer.removeParent(parent);
  }

  /** The conversation ended as it should. */
  #conclude(peer: Peer): void {
    this.#answered(peer);
    peer.link = { kind: 'closed' };
    this.#lost.delete(peer);
    peer.task.starting.delete(peer);
    peer.dropParents();
    if (peer.task.leases.release(peer)) this.#wake(peer.task);
    this.#reindex(peer);
  }

  #dropChildren(peer: Peer): void {
    const children = [...peer.children];
    peer.dropChildren();
    for (const child of children) this.#reindex(child);
    if (children.length > 0) this.#refreshable.add(peer.task);
  }

  #expireLost(peer: Peer, nowMs: number): void {
    if (peer.link.kind !== 'lost') return;
    const goneMs = nowMs - peer.link.sinceMs;
    if (goneMs >= this.#options.leaseGraceMs && peer.task.leases.release(peer)) {
      this.#reindex(peer);
      this.#wake(peer.task);
    }
    if (goneMs >= this.#options.peerGraceMs) this.#removePeer(peer, nowMs);
  }

  #removePeer(peer: Peer, nowMs: number): void {
    const { task, host } = peer;
    const wasSeedAtWork = host.isSeed && peer.isActive;
    peer.apply('leave', nowMs);
    this.#conclude(peer);
    this.#dropChildren(peer);
    if (wasSeedAtWork) this.#triggerFailed(task, host.id, nowMs);
    this.#peers.delete(peer.id);
    host.peers.delete(peer);
    task.peers.delete(peer);
    task.underfed.delete(peer);
  }

  /** Puts the peer into the sets that it belongs to by now, and wakes the task when that may matter to those who wait. */
  #reindex(peer: Peer): void {
    const { task } = peer;
    const isSharer = peer.isSharer;
    const sharersChanged = isSharer ? task.sharers.add(peer) : task.sharers.delete(peer);
    const anchorsChanged = peer.isAnchor ? task.anchors.add(peer) : task.anchors.delete(peer);
    if (sharersChanged || anchorsChanged) {
      this.#wake(task);
      if (isSharer) this.#refreshable.add(task);
    }
    if (this.#couldUseMore(peer)) task.underfed.add(peer);
    else task.underfed.delete(peer);
  }

  #couldUseMore(peer: Peer): boolean {
    const { host, state, link, demand, parents } = peer;
    if (!host.isOwn || link.kind !== 'attached' || demand.kind === 'waiting') return false;
    // Who was sent to the origin has its instruction; only who was offered parents gets more of them.
    if (peer.offeredAtMs === -Infinity || peer.task.leases.isHeldBy(peer)) return false;
    if (state !== 'ReceivedNormal' && state !== 'Running') return false;
    if (parents.size < this.#options.ownCandidateParentLimit) return true;
    for (const parent of parents) if (parent.isAnchor) return false;
    return true;
  }

  // --- expiry --------------------------------------------------------------------------------------------------------

  #collectGarbage(nowMs: number): void {
    const { peerGcIntervalMs, taskGcIntervalMs, hostGcIntervalMs } = this.#options;
    if (nowMs - this.#hostGcAtMs >= hostGcIntervalMs) {
      this.#hostGcAtMs = nowMs;
      for (const host of this.#hosts.values()) if (this.#isSilent(host, nowMs)) this.#removeHost(host, nowMs);
    }
    if (nowMs - this.#peerGcAtMs >= peerGcIntervalMs) {
      this.#peerGcAtMs = nowMs;
      for (const peer of this.#peers.values()) if (this.#isExpired(peer, nowMs)) this.#removePeer(peer, nowMs);
    }
    if (nowMs - this.#taskGcAtMs >= taskGcIntervalMs) {
      this.#taskGcAtMs = nowMs;
      for (const task of this.#tasks.values()) {
        if (task.peers.size === 0 && nowMs - task.updatedAtMs >= taskGcIntervalMs) this.#removeTask(task);
      }
    }
  }

  #removeTask(task: Task): void {
    this.#tasks.delete(task.id);
    this.#refreshable.delete(task);
    this.#waitingTasks.delete(task);
  }

  #isSilent({ facts, announcedAtMs }: Host, nowMs: number): boolean {
    return facts.announceIntervalMs !== undefined && nowMs - announcedAtMs > 2 * facts.announceIntervalMs;
  }

  #isExpired({ state, host, updatedAtMs, demand }: Peer, nowMs: number): boolean {
    const { pieceSilenceMs, peerTtlMs, hostTtlMs } = this.#options;
    if (demand.kind === 'waiting') return false;
    if (state === 'Failed' || state === 'Leave') return true;
    const idleMs = nowMs - updatedAtMs;
    if ((state === 'Running' || state === 'BackToSource') && idleMs > pieceSilenceMs) return true;
    return idleMs > peerTtlMs || nowMs - Math.max(host.announcedAtMs, host.heardAtMs) > hostTtlMs;
  }
}

const refusal = (peerId: string, code: RefusalCode, reason: string): Decision => ({
  kind: 'refuse',
  peerId,
  code,
  reason,
});

/** Who does not share does not fetch on behalf of others either. */
const leaseKindFor = (peer: Peer): 'counted' | 'extra' => (peer.host.facts.disableShared ? 'extra' : 'counted');

/** Statuses by which an origin turns the request down, not just this attempt. */
const isRefusal = (status: number | undefined): boolean =>
  status !== undefined && status >= 400 && status < 500 && ![408, 425, 429].includes(status);

/** Waiting children, the longest waiting first; of a private task those with credentials of their own before the others. */
function leaseOrder(task: Task): readonly Peer[] {
  const waiting = [...task.waiting];
  if (!task.isPrivate) return waiting;
  return [...waiting.filter(({ priority }) => priority === 3), ...waiting.filter(({ priority }) => priority !== 3)];
}

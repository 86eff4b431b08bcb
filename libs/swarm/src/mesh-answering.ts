import type { Descendants } from './ancestry.ts';
import { descendantsOf } from './ancestry.ts';
import type { Answering, AnsweringParts } from './answering.ts';
import type { Blame } from './blame.ts';
import { refusal } from './decision.ts';
import type { Decision, RefusalCode } from './decision.ts';
import type { Host } from './host.ts';
import { chooseParents } from './mesh-choice.ts';
import { leaseKindFor } from './origin-leases.ts';
import type { Peer, PeerView } from './peer.ts';
import type { Roster } from './roster.ts';
import type { Task } from './task.ts';

/** Waits for events rather than for time to pass, and lets daemons of ours exchange pieces in circles. */
export class MeshAnswering implements Answering {
  readonly #roster: Roster;
  readonly #blame: Blame;
  readonly #random: () => number;
  /** Until then seeds may still announce themselves for the first time. */
  readonly #settledAtMs: number;

  constructor({ roster, blame, random, settledAtMs }: AnsweringParts) {
    this.#roster = roster;
    this.#blame = blame;
    this.#random = random;
    this.#settledAtMs = settledAtMs;
  }

  /** Serves whoever can be served by now, and hands over the decisions. */
  settle(nowMs: number): Decision[] {
    for (const child of this.#roster.toServe) {
      this.#roster.toServe.delete(child);
      if (child.demand.kind !== 'waiting') continue;
      child.task.apply('download', nowMs);
      this.#serve(child, nowMs);
    }
    for (const task of this.#roster.toWake) {
      this.#roster.toWake.delete(task);
      this.#serveAll(task, nowMs);
    }
    return this.#roster.takeDecisions();
  }

  tick(nowMs: number): void {
    for (const task of this.#roster.waitingTasks) if (task.starting.size > 0) this.#roster.wake(task);
    for (const task of this.#roster.waitingTasks) this.#enforceDeadline(task, nowMs);
    for (const task of this.#roster.refreshable) this.#refreshOffers(task, nowMs);
  }

  wentToOrigin(peer: Peer, nowMs: number): void {
    if (!peer.apply('downloadBackToSource', nowMs)) return;
    const { task } = peer;
    // Also where nobody granted it: whoever is at the origin anyway shall be the only one.
    task.leases.grant(peer, leaseKindFor(peer), nowMs);
    peer.dropParents();
    this.#roster.fetchArrived(task, peer.host, nowMs);
    task.progressAtMs = nowMs;
    this.#roster.reindex(peer);
  }

  delivered(): void {
    // What was delivered says nothing yet.
  }

  parentFailed(peer: Peer, parentId: string): void {
    this.#roster.block(peer, parentId);
    this.#roster.reindex(peer);
    this.#roster.refreshable.add(peer.task);
  }

  parentExhausted(peer: Peer, parentId: string): void {
    this.#roster.exhaust(peer, parentId);
  }

  peerFailed(peer: Peer): void {
    this.#roster.dropChildren(peer);
  }

  conversationBroke(peer: Peer, nowMs: number): void {
    this.#roster.answered(peer);
    this.#roster.doubt(peer.host, nowMs);
    if (peer.task.leases.isHeldBy(peer) || peer.finishedPieces.size > 0 || peer.state === 'Running') {
      peer.link = { kind: 'lost', sinceMs: nowMs };
      this.#roster.lost.add(peer);
      this.#roster.reindex(peer);
    } else {
      this.#roster.removePeer(peer, nowMs);
    }
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
    if (isAtOrigin && (task.leases.isFree || task.leases.isHeldByHost(child.host.id))) {
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
    const { candidateParentLimit, gatherMs } = this.#roster.options;
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
      const seed = this.#roster.seeds.forTask(task.id).find((host) => this.#canSeedFetch(host, child, nowMs));
      if (seed !== undefined) {
        task.fetch = { kind: 'seedTriggered', seedHostId: seed.id, sinceMs: nowMs };
        task.progressAtMs = nowMs;
        this.#roster.decisions.push({ kind: 'triggerSeed', taskId: task.id, seedHostId: seed.id, peerId: child.id });
        return;
      }
      if (
        this.#roster.seeds.hasUnproven ||
        (nowMs < this.#settledAtMs && this.#roster.seeds.forTask(task.id).length === 0)
      )
        return;
    }
    if (task.leases.isFree) this.#grant(child, 'no parent and no seed has the task', nowMs);
  }

  #mayTriggerSeed({ host, priority, task, finishedPieces }: Peer, nowMs: number): boolean {
    if (!this.#roster.options.seedsEnabled || host.isSeed || priority === 3 || task.isPrivate) return false;
    if (
      task.originRefusedAtMs !== undefined &&
      nowMs - task.originRefusedAtMs < this.#roster.options.seedFailureMemoryMs
    )
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
      nowMs - failedAtMs >= this.#roster.options.seedFailureMemoryMs &&
      !this.#blame.isOnProbation(seed, nowMs)
    );
  }

  #chooseParents(child: Peer, nowMs: number): readonly Peer[] {
    const { candidateParentLimit, ownCandidateParentLimit } = this.#roster.options;
    const limit = child.host.isOwn ? ownCandidateParentLimit : candidateParentLimit;
    let descendants: { readonly known: Descendants | undefined } | undefined;
    const mayServe = (view: PeerView): boolean => {
      const parent = this.#roster.peers.get(view.id);
      if (parent === undefined || parent.task !== child.task || parent.host === child.host || !parent.isSharer)
        return false;
      if (child.refuses(parent) || this.#blame.isOnProbation(parent.host, nowMs)) return false;
      if (child.children.size === 0 || parent.parents.size === 0) return true;
      // Daemons of ours know of every piece where it is, so bytes may run in a circle among them, but through no other.
      const { known } = (descendants ??= { known: descendantsOf(child) });
      if (child.host.isOwn && parent.host.isOwn) return known?.isBehindStock(parent) !== true;
      return known?.has(parent) === false;
    };
    return chooseParents({ child, limit, mayServe, random: this.#random }).flatMap((view) => {
      const parent = this.#roster.peers.get(view.id);
      return parent !== undefined && mayServe(parent) ? [parent] : [];
    });
  }

  #offer(child: Peer, parents: readonly Peer[], nowMs: number): void {
    this.#roster.answered(child);
    child.dropParents();
    for (const parent of parents) child.addParent(parent);
    child.offeredAtMs = nowMs;
    if (child.state === 'ReceivedNormal') child.task.starting.add(child);
    this.#roster.decisions.push({
      kind: 'offerParents',
      peerId: child.id,
      parents: parents.map(({ id }) => ({ peerId: id, role: 'neighbour' })),
    });
    this.#roster.reindex(child);
  }

  #grant(child: Peer, reason: string, nowMs: number): void {
    const { task } = child;
    this.#roster.answered(child);
    task.leases.grant(child, leaseKindFor(child), nowMs);
    task.progressAtMs = nowMs;
    child.dropParents();
    this.#roster.decisions.push({ kind: 'grantOrigin', peerId: child.id, reason });
    this.#roster.reindex(child);
  }

  #refuse(child: Peer, code: RefusalCode, reason: string, nowMs: number): void {
    this.#roster.decisions.push(refusal(child.id, code, reason));
    this.#roster.removePeer(child, nowMs);
  }

  /** Tells daemons of ours that need more parents of those that have come. */
  #refreshOffers(task: Task, nowMs: number): void {
    let isDeferred = false;
    for (const child of [...task.underfed]) {
      if (nowMs - child.offeredAtMs < this.#roster.options.offerRefreshMs) {
        isDeferred = true;
        continue;
      }
      const chosen = this.#chooseParents(child, nowMs);
      const kept = [...child.parents].filter((parent) => parent.isSharer && !child.refuses(parent));
      const isAnchored = kept.some((parent) => parent.isAnchor);
      const fresh = chosen.filter((parent) => !child.parents.has(parent));
      fresh.sort((a, b) => (isAnchored ? 0 : Number(b.isAnchor) - Number(a.isAnchor)));
      const room = this.#roster.options.ownCandidateParentLimit - kept.length;
      const added = fresh.slice(0, Math.max(room, isAnchored ? 0 : 1));
      if (added.length > 0)
        this.#offer(child, [...added, ...kept].slice(0, this.#roster.options.ownCandidateParentLimit), nowMs);
    }
    if (!isDeferred) this.#roster.refreshable.delete(task);
  }

  #enforceDeadline(task: Task, nowMs: number): void {
    const { waitDeadlineMs, maxWaitMs } = this.#roster.options;
    for (const child of leaseOrder(task)) {
      if (child.demand.kind !== 'waiting') continue;
      const { sinceMs } = child.demand;
      const isStalled = nowMs - Math.max(sinceMs, task.progressAtMs) >= waitDeadlineMs;
      if (!isStalled && nowMs - sinceMs < maxWaitMs) continue;
      if (task.fetch.kind === 'seedTriggered') this.#roster.triggerFailed(task, task.fetch.seedHostId, nowMs);
      if (child.priority === 1 || child.priority === 2) {
        this.#refuse(child, 'failedPrecondition', 'no parent came in time, and this priority bars the origin', nowMs);
      } else {
        this.#grant(child, 'no parent came in time', nowMs);
      }
    }
  }
}

/** Waiting children, the longest waiting first; of a private task those with credentials of their own before the others. */
function leaseOrder(task: Task): readonly Peer[] {
  const waiting = [...task.waiting];
  if (!task.isPrivate) return waiting;
  return [...waiting.filter(({ priority }) => priority === 3), ...waiting.filter(({ priority }) => priority !== 3)];
}

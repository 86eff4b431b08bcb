import { Agenda } from './agenda.ts';
import type { Answering, AnsweringParts } from './answering.ts';
import type { Blame } from './blame.ts';
import { refusal } from './decision.ts';
import type { Decision, OfferedParent, RefusalCode } from './decision.ts';
import { Exchange } from './exchange.ts';
import type { DeliveryFacts } from './facts.ts';
import { FurtherOffers } from './further-offers.ts';
import type { Host } from './host.ts';
import { HotPieces } from './hot-pieces.ts';
import { askRemembered } from './memory.ts';
import { FULL_STEP, rankOf } from './nearness.ts';
import { leaseKindFor } from './origin-leases.ts';
import type { Peer } from './peer.ts';
import { Ranking } from './ranking.ts';
import { bestPlaced } from './rescue.ts';
import type { Roster } from './roster.ts';
import type { Task } from './task.ts';
import { UploadHealth } from './upload-health.ts';
import { coversWish } from './wish.ts';

/** Sharers looked at for a stock child: enough for good ones out of thousands, few enough to stay constant in their number. */
const SAMPLE_SIZE = 16;
/** Anchors looked at beside them. */
const ANCHOR_SAMPLE_SIZE = 8;
/** More descendants of a stock child are not walked through: an answer would cost more than it is worth. */
const MAX_DESCENDANTS = 1000;
/** Where so many children in a row cannot be served, those who wait after them are left for the next event. */
const MAX_IDLE = 4;
/** More children are not answered in one go: nobody else would be heard meanwhile. */
const MAX_JOINED_AT_ONCE = 1000;
/** Waiting children that one event looks at without serving them. */
const MAX_SKIPPED = 64;

/** Waits for events rather than for time to pass, and lets daemons of ours exchange pieces in circles. */
export class MeshAnswering implements Answering {
  readonly #roster: Roster;
  readonly #blame: Blame;
  readonly #random: () => number;
  readonly #exchange: Exchange;
  readonly #health = new UploadHealth();
  readonly #hotPieces = new HotPieces();
  /** Crowds that are due. */
  readonly #agenda = new Agenda<Task>();
  /** Tasks with children of ours that can be answered at once. */
  #joining: Task[] = [];
  /** Until then seeds may still announce themselves for the first time. */
  readonly #settledAtMs: number;
  readonly #furtherOffers: FurtherOffers;

  constructor({ roster, blame, random, settledAtMs }: AnsweringParts) {
    this.#roster = roster;
    this.#blame = blame;
    this.#random = random;
    this.#settledAtMs = settledAtMs;
    this.#exchange = new Exchange(roster, blame, random);
    this.#furtherOffers = new FurtherOffers(roster, (child, nowMs) => {
      this.#exchange.topUp(child, nowMs);
      if (child.parents.size > 0) this.#offer(child, nowMs);
    });
  }

  settle(nowMs: number): Decision[] {
    const { toServe, toWake, toRescue, broken } = this.#roster;
    for (const child of toServe) {
      toServe.delete(child);
      if (child.demand.kind !== 'waiting') continue;
      child.task.apply('download', nowMs);
      if (this.#serve(child, nowMs) === 'joining' && this.#isCrowded(child.task, nowMs)) this.#gather(child, nowMs);
    }
    for (let task = this.#agenda.takeDue(nowMs); task !== undefined; task = this.#agenda.takeDue(nowMs)) {
      const due = task.gathered.splice(0, MAX_JOINED_AT_ONCE);
      if (task.gathered.length > 0) this.#agenda.add(nowMs + 1, task);
      for (const child of due) this.#letJoin(child);
    }
    // Whoever joins may be what others have waited for; each time fewer are left.
    do {
      this.#joinAll(nowMs);
      if (broken.size > 0) this.#mendAll(nowMs);
      while (toWake.size > 0)
        for (const task of toWake) {
          toWake.delete(task);
          this.#serveAll(task, nowMs);
        }
      while (toRescue.size > 0)
        for (const task of toRescue) {
          toRescue.delete(task);
          this.#rescue(task, nowMs);
        }
    } while (this.#joining.length > 0);
    const reminderMs = this.#agenda.reminder(nowMs);
    if (reminderMs !== undefined) this.#roster.decisions.push({ kind: 'tickAt', atMs: reminderMs });
    return this.#roster.takeDecisions();
  }

  tick(nowMs: number): void {
    for (const task of this.#roster.waitingTasks) if (task.starting.size > 0) this.#roster.wake(task);
    for (const task of this.#roster.waitingTasks) this.#enforceDeadline(task, nowMs);
    for (const task of this.#roster.orphaned) this.#rescue(task, nowMs);
    this.#furtherOffers.tick(nowMs);
    this.#roster.decisions.push(...this.#hotPieces.tick(nowMs));
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
    if (task.pathless.size > 0) this.#roster.broken.add(task);
  }

  delivered(peer: Peer, deliveries: readonly DeliveryFacts[]): void {
    this.#hotPieces.reported(peer.task);
    for (const delivery of deliveries) {
      const parent = delivery.parentId === undefined ? undefined : this.#roster.peers.get(delivery.parentId);
      if (parent === undefined || parent.host === peer.host) continue;
      if (this.#health.report(parent.host, peer.host.id, delivery)) this.#roster.reindexHost(parent.host);
    }
  }

  parentFailed(peer: Peer, parentId: string): void {
    this.#roster.block(peer, parentId);
    this.#roster.reindex(peer);
    if (peer.isActive) this.#roster.stale(peer);
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

  /** Many register for the task within a moment. */
  #isCrowded(task: Task, nowMs: number): boolean {
    const { crowdSize, crowdWindowMs } = this.#roster.options;
    if (nowMs - task.crowdSinceMs >= crowdWindowMs) {
      task.crowdSinceMs = nowMs;
      task.crowd = 0;
    }
    task.crowd++;
    return task.crowd >= crowdSize || task.gathered.length > 0;
  }

  /** Puts a child that could be answered off until those who come with it are there. */
  #gather(child: Peer, nowMs: number): void {
    const { task } = child;
    task.joining.pop();
    if (task.joining.length === 0) this.#joining.splice(this.#joining.indexOf(task), 1);
    this.#putOff(child, nowMs + this.#roster.options.crowdGatherMs);
  }

  /** A child of ours that can be answered at once. */
  #letJoin(child: Peer): void {
    const { task } = child;
    if (task.joining.length > 0) {
      task.joining.push(child);
      return;
    }
    task.joining = [child];
    this.#joining.push(task);
  }

  #putOff(child: Peer, untilMs: number): void {
    const { task } = child;
    task.waiting.delete(child);
    if (task.gathered.length === 0) this.#agenda.add(untilMs, task);
    task.gathered.push(child);
  }

  #mendAll(nowMs: number): void {
    for (const task of [...this.#roster.broken]) {
      this.#exchange.mend(task, nowMs);
      // What could not be mended now is tried again when something has changed.
      this.#roster.broken.delete(task);
    }
  }

  #joinAll(nowMs: number): void {
    for (let task = this.#joining.shift(); task !== undefined; task = this.#joining.shift()) {
      const children = task.joining;
      task.joining = [];
      const present = this.#presentOf(children);
      for (const child of children.slice(MAX_JOINED_AT_ONCE)) this.#putOff(child, nowMs + 1);
      this.#furtherOffers.joined(present.length);
      this.#exchange.join(present, nowMs);
      for (const child of present) {
        if (child.parents.size > 0) {
          this.#offer(child, nowMs);
          task.recent.push(child);
          this.#roster.refreshable.add(task);
          continue;
        }
        child.offeredAtMs = -Infinity;
        this.#roster.reindex(child);
        task.waiting.add(child);
        this.#roster.waitingTasks.add(task);
        if (!this.#isFetchUnderWay(child)) this.#fetchFirst(child, nowMs);
      }
      this.#callHelp(task);
    }
  }

  /** Those who still wait, each once, of as many as are answered in one go. */
  #presentOf(children: readonly Peer[]): readonly Peer[] {
    const isPresent = (child: Peer): boolean =>
      child.demand.kind === 'waiting' && this.#roster.peers.get(child.id) === child;
    if (children.length === 1) return children.filter(isPresent);
    return [...new Set(children.slice(0, MAX_JOINED_AT_ONCE))].filter(isPresent);
  }

  /** Many want the task: another seed takes part. It gets what there is from the others, as it finds the lease taken. */
  #callHelp(task: Task): void {
    const { options, seeds } = this.#roster;
    if (!options.seedsEnabled || task.isPrivate || task.peers.size < options.peersPerSeed) return;
    const wanted = Math.min(options.maxSeedsPerTask, 1 + Math.floor(task.peers.size / options.peersPerSeed));
    if (task.helpers.size + 1 >= wanted || task.leases.isFree) return;
    const holders = new Set<Host>();
    for (const source of task.sources) holders.add(source.host);
    const seed = seeds
      .forTask(task.id)
      .find((host) => !task.helpers.has(host.id) && !holders.has(host) && host.state.kind === 'alive');
    const [witness] = task.peers.sample(1, this.#random);
    if (seed === undefined || witness === undefined) return;
    task.helpers.add(seed.id);
    this.#roster.decisions.push({ kind: 'triggerSeed', taskId: task.id, seedHostId: seed.id, peerId: witness.id });
  }

  #serveAll(task: Task, nowMs: number): void {
    const idle = { own: 0, stock: 0 };
    let skipped = 0;
    for (const child of task.isPrivate ? leaseOrder(task) : task.waiting) {
      if (child.demand.kind !== 'waiting') continue;
      const kind = child.host.isOwn ? 'own' : 'stock';
      const outcome = idle[kind] >= MAX_IDLE ? 'waiting' : this.#serve(child, nowMs);
      if (outcome === 'answered' || outcome === 'joining') continue;
      // Where one stock child had better wait for others to start, so had all that came after it.
      idle[kind] += outcome === 'gathering' ? MAX_IDLE : 1;
      if (++skipped >= MAX_SKIPPED) return;
      // The next event looks at others first.
      if (task.waiting.size > MAX_SKIPPED && task.waiting.delete(child)) task.waiting.add(child);
    }
  }

  /** Answers a waiting child, finds that it can be answered, or leaves it waiting for the next event. */
  #serve(child: Peer, nowMs: number): 'answered' | 'joining' | 'gathering' | 'waiting' {
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
    // Without an anchor anywhere, a child that found its parents wanting is the one to mend it. A stock child is told of
    // parents once only, so it waits for the anchor that is under way.
    const isOrphaned = task.anchors.size === 0;
    const isGoodEnough = !isOrphaned || (demand.kind === 'waiting' && demand.cause === 'register');
    if (child.host.isOwn) {
      if (isGoodEnough && this.#mayHaveParents(child)) {
        this.#letJoin(child);
        return 'joining';
      }
    } else if (isGoodEnough && !(isOrphaned && this.#isFetchUnderWay(child))) {
      const parents = this.#chooseForStock(child, nowMs);
      if (parents.length > 0) {
        if (this.#isWorthGathering(task, parents, nowMs)) return 'gathering';
        this.#tell(child, parents, nowMs);
        return 'answered';
      }
    }
    if (!this.#isFetchUnderWay(child)) this.#fetchFirst(child, nowMs);
    return child.demand.kind === 'waiting' ? 'waiting' : 'answered';
  }

  #mayHaveParents(child: Peer): boolean {
    for (const parent of child.task.sharers.sample(ANCHOR_SAMPLE_SIZE, this.#random))
      if (parent.host !== child.host) return true;
    return false;
  }

  /**
   * A stock child hears of parents once. In a crowd that starts at the same moment it would be sent to the only anchor
   * like all the others; a moment later those who were served first can be its parents.
   */
  #isWorthGathering(task: Task, parents: readonly Peer[], nowMs: number): boolean {
    const { candidateParentLimit, gatherMs } = this.#roster.options;
    const areFew = parents.length < candidateParentLimit;
    if (!areFew && parents.some(({ children }) => children.size < candidateParentLimit)) return false;
    // The newest tells: to look at all would cost every child of a crowd as much as the crowd has members.
    return task.starting.size > 0 && nowMs - task.lastStartingAtMs < gatherMs;
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
    if (askRemembered(this.#roster, task.peers, child.host)) return;
    if (this.#mayTriggerSeed(child, nowMs)) {
      const seeds = this.#roster.seeds.forTask(task.id).filter((host) => this.#canSeedFetch(host, child, nowMs));
      // One that serves badly, as all do that are overrun, is still better than an origin that sends everything to one more host.
      const seed = seeds.find((host) => !this.#blame.isOnProbation(host, nowMs)) ?? seeds[0];
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
    if (this.#mayComeBack(task, nowMs)) return;
    if (task.leases.isFree && !this.#isOnlyFull(child, nowMs))
      this.#grant(child, 'no parent and no seed has the task', nowMs);
  }

  /**
   * Somebody has what this child wants, and serves as many as it may. The child is looked at again when one of those who serve there
   * leaves, or at the deadline of those who wait.
   */
  #isOnlyFull(child: Peer, nowMs: number): boolean {
    let isFull = false;
    for (const anchor of child.task.anchors.sample(ANCHOR_SAMPLE_SIZE, this.#random)) {
      if (anchor.host === child.host || !anchor.host.isFit || !coversWish(anchor, child)) continue;
      if (child.refuses(anchor) || this.#exchange.isBarred(anchor, nowMs)) continue;
      anchor.host.awaitedBy.add(child.task);
      isFull = true;
    }
    return isFull;
  }

  /** The swarm began a moment ago, and finds a download half-way: whoever has, or fetches, everything may be about to say so. */
  #mayComeBack(task: Task, nowMs: number): boolean {
    return nowMs < this.#settledAtMs && task.isTakenUp && !task.hasBeenAnchored;
  }

  /** Has one of those who fetch from each other fetch from the origin what none of them has. */
  #rescue(task: Task, nowMs: number): void {
    if (this.#mayComeBack(task, nowMs) || !task.leases.isFree || task.fetch.kind === 'seedTriggered') return;
    const { orphaned } = this.#roster;
    // Those who wait are served by themselves.
    const best = bestPlaced(task, this.#random);
    if (best === undefined) {
      if (task.waiting.size === 0) orphaned.delete(task);
      return;
    }
    this.#grant(best, 'nobody is left who has everything', nowMs);
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
      !this.#blame.isDistrusted(seed, nowMs)
    );
  }

  /** Parents for a child that is told of them once: least loaded first, near before far; one of them on a path to everything. */
  #chooseForStock(child: Peer, nowMs: number): readonly Peer[] {
    const { task } = child;
    const { candidateParentLimit } = this.#roster.options;
    const descendants = child.children.size === 0 ? NOBODY : descendantsOf(child);
    const ranking = new Ranking<Peer>();
    const consider = (parent: Peer): void => {
      if (!parent.isSharer) return;
      if (descendants === undefined ? parent.parents.size > 0 : descendants.has(parent)) return;
      const isItsParent = child.parents.size > 0 && child.parents.has(parent);
      if (isItsParent) {
        if (child.refuses(parent) || this.#exchange.isBarred(parent, nowMs)) return;
      } else if (!this.#exchange.mayServe(parent, child, nowMs)) return;
      const isFull = parent.children.size >= this.#exchange.peerLimit(parent);
      ranking.add(parent, rankOf(parent, child, this.#random()) + (isFull ? FULL_STEP : 0));
    };
    const anchors = task.anchors.sample(ANCHOR_SAMPLE_SIZE, this.#random);
    anchors.forEach(consider);
    for (const parent of task.sharers.sample(SAMPLE_SIZE, this.#random))
      if (!anchors.includes(parent)) consider(parent);
    const isSafe = (parent: Peer): boolean => coversWish(parent, child) && this.#exchange.hasPath(parent);
    const parents = ranking.takeBest(candidateParentLimit);
    if (parents.some(isSafe)) return parents;
    for (let next = ranking.takeBest(1)[0]; next !== undefined; next = ranking.takeBest(1)[0])
      if (isSafe(next)) return [...parents.slice(0, candidateParentLimit - 1), next];
    return parents;
  }

  /** Tells a stock child of its parents. */
  #tell(child: Peer, parents: readonly Peer[], nowMs: number): void {
    child.dropParents();
    // Bytes must not run in a circle through a stock peer: now that it gets parents, it is none of ours.
    for (const other of child.children) {
      if (!other.host.isOwn) continue;
      other.removeParent(child);
      this.#roster.stale(other);
    }
    for (const parent of parents) child.addParent(parent);
    this.#exchange.feed(child);
    this.#announce(child, parents, nowMs);
  }

  /** Tells a child of ours of the parents that it has. */
  #offer(child: Peer, nowMs: number): void {
    const { fallback } = child;
    // In order as they come: they are few, and there is an offer for every registration.
    const ranks: number[] = [];
    const parents: Peer[] = [];
    for (const parent of child.parents) {
      const ofOwn = rankOf(parent, child, this.#random());
      const rank = parent === fallback ? Infinity : ofOwn;
      let place = ranks.length;
      for (; place > 0 && (ranks[place - 1] ?? 0) > rank; place--) {
        ranks[place] = ranks[place - 1] ?? 0;
        parents[place] = parents[place - 1] ?? parent;
      }
      ranks[place] = rank;
      parents[place] = parent;
    }
    child.task.stale.delete(child);
    this.#announce(child, parents, nowMs);
  }

  #announce(child: Peer, parents: readonly Peer[], nowMs: number): void {
    this.#roster.answered(child);
    child.offeredAtMs = nowMs;
    if (child.state === 'ReceivedNormal') {
      child.task.starting.add(child);
      child.task.lastStartingAtMs = nowMs;
    }
    const { fallback } = child;
    const offered = parents.map((parent): OfferedParent => {
      return { peerId: parent.id, peer: parent, role: parent === fallback ? 'fallback' : 'neighbour' };
    });
    this.#roster.decisions.push({ kind: 'offerParents', peerId: child.id, parents: offered });
    // One that exchanges pieces, and has none yet, stands where it did when it joined the others.
    if (child.zone === undefined || child.state !== 'ReceivedNormal') this.#roster.reindex(child);
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

const NOBODY: ReadonlySet<Peer> = new Set();

/** Every peer that gets bytes from this one, directly or through others. @returns undefined when there are too many to tell */
function descendantsOf(peer: Peer): ReadonlySet<Peer> | undefined {
  const found = new Set<Peer>();
  const open = [peer];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const child of next.children) {
      if (found.has(child)) continue;
      if (found.size === MAX_DESCENDANTS) return undefined;
      found.add(child);
      open.push(child);
    }
  }
  return found;
}

import { Agenda } from './agenda.ts';
import type { Answering, AnsweringParts } from './answering.ts';
import { refusal } from './decision.ts';
import type { Decision, RefusalCode } from './decision.ts';
import type { DeliveryFacts } from './facts.ts';
import type { Host } from './host.ts';
import type { Peer } from './peer.ts';
import { PieceCosts } from './piece-costs.ts';
import type { Roster } from './roster.ts';
import type { SwarmLimits } from './swarm-options.ts';
import type { Task } from './task.ts';
import { upstreamScore } from './upstream-evaluator.ts';
import type { UpstreamRules } from './upstream-policy.ts';

/** A registration of a normal host is put off by this, doubled for every other one of the host that is in progress … */
const REGISTRATION_DELAY_MS = 30;
/** … up to this; between half and one and a half of it is waited. */
const MAX_REGISTRATION_DELAY_MS = 1000;
/** After a seed failed a task, no seed is told of it for so long. */
const SEED_FAILURE_MEMORY_MS = 30 * 60_000;

/** A question of a peer, and how far it has got. */
interface Round {
  readonly child: Peer;
  /** Decides whether a seed, or the peer, must fetch first: not yet done. */
  isRegistration: boolean;
  /** One of the registrations in progress of its host. */
  readonly isCounted: boolean;
  failedAttempts: number;
}

/** Polls for parents as the published scheduler does. */
export class UpstreamAnswering implements Answering {
  readonly #roster: Roster;
  readonly #random: () => number;
  #rules: UpstreamRules;
  readonly #rounds = new Map<Peer, Round>();
  readonly #agenda = new Agenda<Round>();
  /** Registrations of a host that are not answered yet. */
  readonly #registering = new Map<Host, number>();
  readonly #costs = new WeakMap<Peer, PieceCosts>();

  constructor({ roster, random }: AnsweringParts, rules: UpstreamRules) {
    this.#roster = roster;
    this.#random = random;
    this.#rules = rules;
  }

  settle(nowMs: number): Decision[] {
    const { toServe, toWake, refreshable } = this.#roster;
    for (const child of toServe) {
      toServe.delete(child);
      if (child.demand.kind === 'waiting') this.#begin(child, child.demand.cause === 'register', nowMs);
    }
    toWake.clear();
    refreshable.clear();
    for (let round = this.#agenda.takeDue(nowMs); round !== undefined; round = this.#agenda.takeDue(nowMs)) {
      if (this.#rounds.get(round.child) !== round) continue;
      if (round.child.demand.kind === 'waiting') this.#continue(round, nowMs);
      else this.#end(round.child);
    }
    const reminderMs = this.#agenda.reminder(nowMs);
    if (reminderMs !== undefined) this.#roster.decisions.push({ kind: 'tickAt', atMs: reminderMs });
    return this.#roster.takeDecisions();
  }

  tick(): void {
    // Everything here happens at its time: the agenda knows it.
  }

  adjust({ candidateParentLimit, filterParentLimit }: SwarmLimits): void {
    this.#rules = {
      ...this.#rules,
      ...(candidateParentLimit !== undefined && { candidateParentLimit }),
      ...(filterParentLimit !== undefined && { filterParentLimit }),
    };
  }

  /** A peer that is Running already stays so, and is not counted among those at the origin. */
  wentToOrigin(peer: Peer, nowMs: number): void {
    if (peer.state === 'Running' || !peer.apply('downloadBackToSource', nowMs)) return;
    peer.task.leases.grant(peer, 'counted', nowMs);
    peer.dropParents();
    this.#roster.reindex(peer);
  }

  delivered(peer: Peer, deliveries: readonly DeliveryFacts[]): void {
    let costs = this.#costs.get(peer);
    if (costs === undefined) this.#costs.set(peer, (costs = new PieceCosts()));
    for (const { pieces, durationMs } of deliveries)
      for (let piece = 0; piece < pieces; piece++) costs.add(durationMs / pieces);
  }

  parentFailed(peer: Peer, parentId: string): void {
    peer.block(parentId);
  }

  parentExhausted(peer: Peer, parentId: string): void {
    peer.block(parentId);
  }

  peerFailed(): void {
    // Children are not told.
  }

  /** The peer keeps its state until it is silent for too long. */
  conversationBroke(peer: Peer): void {
    this.#end(peer);
    this.#roster.answered(peer);
  }

  #begin(child: Peer, isRegistration: boolean, nowMs: number): void {
    this.#end(child);
    const round: Round = { child, isRegistration, isCounted: isRegistration, failedAttempts: 0 };
    this.#rounds.set(child, round);
    if (!isRegistration) {
      this.#attempt(round, nowMs);
      return;
    }
    const inProgress = (this.#registering.get(child.host) ?? 0) + 1;
    this.#registering.set(child.host, inProgress);
    if (child.host.isSeed) {
      this.#continue(round, nowMs);
      return;
    }
    const delayMs = Math.min(MAX_REGISTRATION_DELAY_MS, REGISTRATION_DELAY_MS * 2 ** inProgress);
    this.#agenda.add(nowMs + delayMs * (0.5 + this.#random()), round);
  }

  #continue(round: Round, nowMs: number): void {
    if (round.isRegistration) {
      round.isRegistration = false;
      if (!this.#fetchFirst(round.child, nowMs)) return;
      // The registration is in progress until it is answered; only its first step is done.
      round.child.task.apply('download', nowMs);
    }
    this.#attempt(round, nowMs);
  }

  /** The round of a peer is over, however it ended. */
  #end(child: Peer): void {
    const round = this.#rounds.get(child);
    if (round === undefined) return;
    this.#rounds.delete(child);
    if (!round.isCounted) return;
    const inProgress = (this.#registering.get(child.host) ?? 1) - 1;
    if (inProgress > 0) this.#registering.set(child.host, inProgress);
    else this.#registering.delete(child.host);
  }

  /** Where nobody has the task, a seed is told of it, or the child goes to the origin. @returns false when it was turned down */
  #fetchFirst(child: Peer, nowMs: number): boolean {
    const { task, host, priority } = child;
    if (child.needBackToSource || !this.#isFetchNeeded(task, child)) return true;
    const [seed] = this.#roster.options.seedsEnabled ? this.#roster.seeds.forTask(task.id) : [];
    if (host.isSeed || seed === undefined) {
      child.needBackToSource = true;
      return true;
    }
    if (priority === 1)
      return this.#refuse(child, 'failedPrecondition', 'downloads of this priority are forbidden', nowMs);
    if (priority === 2)
      return this.#refuse(child, 'notFound', 'nobody has the task, and this priority bars the origin', nowMs);
    if (priority === 3 || hasSeedFailed(task, nowMs)) {
      child.needBackToSource = true;
      return true;
    }
    this.#roster.decisions.push({ kind: 'triggerSeed', taskId: task.id, seedHostId: seed.id, peerId: child.id });
    return true;
  }

  #isFetchNeeded({ state, peers }: Task, child: Peer): boolean {
    if (state !== 'Succeeded') return state !== 'Running';
    for (const peer of peers) {
      const isAvailable = peer.state === 'Running' || peer.state === 'Succeeded' || peer.state === 'BackToSource';
      if (isAvailable && peer.host !== child.host && !child.refuses(peer)) return false;
    }
    return true;
  }

  #attempt(round: Round, nowMs: number): void {
    const { child } = round;
    const { task } = child;
    const { backToSourceCount, retryBackToSourceLimit, retryLimit, retryIntervalMs } = this.#rules;
    if (child.state !== 'ReceivedNormal' && child.state !== 'Running') {
      this.#refuse(child, 'failedPrecondition', `a peer that is ${child.state} gets no parents`, nowMs);
      return;
    }
    const mustFetch = child.needBackToSource || round.failedAttempts >= retryBackToSourceLimit;
    if (mustFetch && task.leases.size <= backToSourceCount) {
      this.#answered(child);
      const reason = child.needBackToSource ? 'asked for the origin' : 'no parent was found in time';
      this.#roster.decisions.push({ kind: 'grantOrigin', peerId: child.id, reason });
      return;
    }
    if (round.failedAttempts >= retryLimit) {
      this.#refuse(child, 'failedPrecondition', 'no parent was found in time, and the origin is busy', nowMs);
      return;
    }
    child.dropParents();
    const parents = this.#chooseParents(child);
    if (parents.length === 0) {
      round.failedAttempts++;
      this.#agenda.add(nowMs + retryIntervalMs * (0.75 + this.#random() / 2), round);
      return;
    }
    this.#answered(child);
    for (const parent of parents) child.addParent(parent);
    child.offeredAtMs = nowMs;
    this.#roster.decisions.push({
      kind: 'offerParents',
      peerId: child.id,
      parents: parents.map((peer) => ({ peerId: peer.id, peer, role: 'neighbour' })),
    });
    this.#roster.reindex(child);
  }

  #chooseParents(child: Peer): readonly Peer[] {
    const { filterParentLimit, candidateParentLimit } = this.#rules;
    const sample = child.task.peers.sample(filterParentLimit, this.#random);
    const descendants = child.children.size === 0 ? undefined : descendantsOf(child);
    return sample
      .filter((parent) => this.#mayServe(parent, child) && descendants?.has(parent) !== true)
      .map((parent) => ({ parent, score: upstreamScore(parent, child) }))
      .sort((a, b) => b.score - a.score)
      .slice(0, candidateParentLimit)
      .map(({ parent }) => parent);
  }

  #mayServe(parent: Peer, child: Peer): boolean {
    if (child.refuses(parent) || parent.host.facts.disableShared || parent.host === child.host) return false;
    const isAtRoot = !parent.host.isSeed && parent.parents.size === 0;
    if (isAtRoot && parent.state !== 'BackToSource' && parent.state !== 'Succeeded') return false;
    const isGoing = parent.state === 'Running' || parent.state === 'BackToSource' || parent.state === 'Succeeded';
    return isGoing && this.#costs.get(parent)?.isLastOutlier !== true;
  }

  #answered(child: Peer): void {
    this.#end(child);
    this.#roster.answered(child);
  }

  #refuse(child: Peer, code: RefusalCode, reason: string, nowMs: number): false {
    this.#end(child);
    this.#roster.decisions.push(refusal(child.id, code, reason));
    this.#roster.removePeer(child, nowMs);
    return false;
  }
}

/** The seed that tried last failed, not long ago. */
function hasSeedFailed({ peers }: Task, nowMs: number): boolean {
  let last: Peer | undefined;
  for (const peer of peers)
    if (peer.host.isSeed && (last === undefined || peer.updatedAtMs > last.updatedAtMs)) last = peer;
  return last?.state === 'Failed' && nowMs - last.createdAtMs < SEED_FAILURE_MEMORY_MS;
}

function descendantsOf(peer: Peer): ReadonlySet<Peer> {
  const found = new Set<Peer>();
  const open = [peer];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const child of next.children) {
      if (found.has(child)) continue;
      found.add(child);
      open.push(child);
    }
  }
  return found;
}

import type { Decision } from './decision.ts';
import type { RegistrationFacts } from './facts.ts';
import type { Host } from './host.ts';
import { Line } from './line.ts';
import { CLOSED, NO_DEMAND, Peer } from './peer.ts';
import type { SwarmWatcher } from './memory.ts';
import { SeedDirectory } from './seed-directory.ts';
import type { SwarmOptions } from './swarm-options.ts';
import { Task } from './task.ts';

/**
 * Who is there: the tables of a swarm and the sets drawn from them, which its methods keep true to each other. It notes
 * whom a change may concern; `Answering` then decides what they are told.
 */
export class Roster {
  readonly options: SwarmOptions;
  readonly hosts = new Map<string, Host>();
  readonly tasks = new Map<string, Task>();
  readonly peers = new Map<string, Peer>();
  readonly seeds = new SeedDirectory();
  /** Peers whose conversation broke and who may come back. */
  readonly lost = new Set<Peer>();
  /** Hosts whose own stream broke and who may come back. */
  readonly unlinked = new Set<Host>();
  /** Tasks with children that are owed an answer. */
  readonly waitingTasks = new Line<Task>();
  /** Tasks with children of ours that are to be told of other parents. */
  readonly refreshable = new Line<Task>();
  /** Tasks with leases of hosts. */
  readonly leasedToHosts = new Set<Task>();
  /** Tasks in which something changed that those who wait may have waited for. */
  readonly toWake = new Line<Task>();
  /** Tasks that nobody has, or fetches, all of, although there are pieces. */
  readonly orphaned = new Line<Task>();
  /** Those of them of which something changed that may end it. */
  readonly toRescue = new Line<Task>();
  /** Peers with a question that has not been looked at yet. */
  readonly toServe = new Line<Peer>();
  /** Tasks in which peers have lost their path to everything. */
  readonly broken = new Line<Task>();
  /** For the policy: the standing of a peer may have changed. */
  onReindex: (peer: Peer) => void = () => undefined;
  /** Is told what is worth remembering. */
  watcher: SwarmWatcher | undefined;
  /** For the policy: a task begins. */
  onTask: (task: Task) => void = () => undefined;
  /** What was decided and not yet handed over. */
  decisions: Decision[] = [];

  constructor(options: SwarmOptions) {
    this.options = options;
  }

  /** Hands over what was decided. */
  takeDecisions(): Decision[] {
    const { decisions } = this;
    if (decisions.length === 0) return [];
    this.decisions = [];
    return decisions;
  }

  createPeer(facts: RegistrationFacts, host: Host, nowMs: number): Peer | undefined {
    let task = this.tasks.get(facts.taskId);
    if (this.peers.size >= this.options.maxPeers) return undefined;
    if (task === undefined) {
      if (this.tasks.size >= this.options.maxTasks) return undefined;
      task = new Task(facts.taskId, this.options.originLeaseCount, nowMs);
      this.tasks.set(task.id, task);
      this.onTask(task);
    }
    const peer = new Peer(facts.peerId, host, task, facts, nowMs);
    this.peers.set(peer.id, peer);
    host.peers.add(peer);
    task.peers.add(peer);
    return peer;
  }

  removePeer(peer: Peer, nowMs: number): void {
    const { task, host } = peer;
    const wasSeedAtWork = host.isSeed && peer.isActive;
    peer.apply('leave', nowMs);
    this.conclude(peer);
    this.dropChildren(peer);
    if (wasSeedAtWork) this.triggerFailed(task, host.id, nowMs);
    this.peers.delete(peer.id);
    if (peer.isNoted) this.watcher?.holderLeft(peer);
    host.peers.delete(peer);
    if (task.peers.delete(peer)) task.holders?.remove(peer.finishedPieces);
    task.stale.delete(peer);
    task.pathless.delete(peer);
  }

  removeHost(host: Host, nowMs: number): void {
    this.hosts.delete(host.id);
    this.unlinked.delete(host);
    if (host.isSeed) this.seeds.delete(host);
    for (const task of this.waitingTasks) this.triggerFailed(task, host.id, nowMs);
    for (const peer of [...host.peers]) this.removePeer(peer, nowMs);
    this.#releaseHostLeases(host);
    this.watcher?.hostLeft(host);
  }

  removeTask(task: Task): void {
    this.tasks.delete(task.id);
    this.refreshable.delete(task);
    this.leasedToHosts.delete(task);
    this.broken.delete(task);
    this.orphaned.delete(task);
    this.toRescue.delete(task);
    this.waitingTasks.delete(task);
  }

  /** The conversation ended as it should. */
  conclude(peer: Peer): void {
    this.answered(peer);
    peer.link = CLOSED;
    this.lost.delete(peer);
    peer.task.starting.delete(peer);
    peer.dropParents();
    if (peer.task.leases.release(peer)) this.wake(peer.task);
    this.reindex(peer);
  }

  dropChildren(peer: Peer): void {
    const children = [...peer.children];
    peer.dropChildren();
    for (const child of children) {
      if (child.isActive) this.stale(child);
      this.reindex(child);
    }
  }

  /** The parents of this peer are not what it was told. */
  stale(peer: Peer): void {
    if (!peer.host.isOwn) return;
    peer.task.stale.add(peer);
    this.refreshable.add(peer.task);
  }

  /** The parent failed this peer. */
  block(peer: Peer, parentId: string): void {
    peer.block(parentId);
    this.#part(peer, parentId);
  }

  /**
   * The parent could not give this peer what it lacks. One that has everything, or should, is no good to it at all; any
   * other may be once it has more.
   */
  exhaust(peer: Peer, parentId: string): void {
    const parent = this.peers.get(parentId);
    if (parent === undefined || parent.isAnchor) peer.block(parentId);
    else peer.exhaust(parentId);
    this.#part(peer, parentId);
  }

  #part(peer: Peer, parentId: string): void {
    const parent = this.peers.get(parentId);
    if (parent !== undefined) peer.removeParent(parent);
  }

  /** The peer asked, and waits from now on. */
  owe(peer: Peer, cause: 'register' | 'reschedule', nowMs: number): void {
    peer.demand = { kind: 'waiting', sinceMs: nowMs, cause };
    peer.task.waiting.add(peer);
    this.waitingTasks.add(peer.task);
    this.toServe.add(peer);
  }

  /** The peer is owed nothing any more. */
  answered(peer: Peer): void {
    peer.demand = NO_DEMAND;
    peer.task.waiting.delete(peer);
    if (peer.task.waiting.size === 0) this.waitingTasks.delete(peer.task);
  }

  /** Those who wait in this task are to be looked at again. */
  wake(task: Task): void {
    if (this.orphaned.has(task)) this.toRescue.add(task);
    if (task.waiting.size > 0) this.toWake.add(task);
  }

  /** Puts the peer into the sets that it belongs to by now, and wakes the task when that may matter to those who wait. */
  reindex(peer: Peer): void {
    const { task } = peer;
    const isSharer = peer.isSharer;
    const sharersChanged = isSharer ? task.sharers.add(peer) : task.sharers.delete(peer);
    const anchorsChanged = peer.isAnchor ? task.anchors.add(peer) : task.anchors.delete(peer);
    if (anchorsChanged) this.#anchorsChanged(task);
    if (sharersChanged || anchorsChanged) this.wake(task);
    if (anchorsChanged && task.pathless.size > 0) this.broken.add(task);
    if (!peer.isNoted && peer.state === 'Succeeded' && peer.range === undefined) {
      peer.isNoted = true;
      this.watcher?.holderCame(peer);
    }
    this.onReindex(peer);
  }

  #anchorsChanged(task: Task): void {
    if (task.anchors.size === 0) return this.orphan(task);
    task.hasBeenAnchored = true;
    this.orphaned.delete(task);
    this.toRescue.delete(task);
  }

  /** Nobody has, or fetches, everything, and nobody may ask for it. */
  orphan(task: Task): void {
    if (task.anchors.size > 0 || this.tasks.get(task.id) !== task) return;
    this.orphaned.add(task);
    this.toRescue.add(task);
  }

  reindexHost(host: Host): void {
    for (const peer of host.peers) this.reindex(peer);
  }

  /** A sign of life. */
  heard(host: Host, nowMs: number): void {
    host.heardAtMs = nowMs;
    const wasRemembered = host.isRemembered;
    if (!wasRemembered && host.state.kind === 'alive') return;
    host.isRemembered = false;
    if (host.apply('heard', nowMs) || wasRemembered) this.hostChanged(host);
  }

  /** The host is, or is no longer, about to leave: children of one that is get others. */
  setLeaving(host: Host, isLeaving: boolean): void {
    if (host.isLeaving === isLeaving) return;
    host.isLeaving = isLeaving;
    if (isLeaving) for (const peer of host.peers) this.dropChildren(peer);
    this.hostChanged(host);
  }

  /** Something speaks against the host: it is looked at at once. */
  doubt(host: Host, nowMs: number): void {
    if (host.apply('doubted', nowMs)) this.decisions.push({ kind: 'probeHost', hostId: host.id });
  }

  hostChanged(host: Host): void {
    this.reindexHost(host);
    if (!host.isSeed) return;
    this.seeds.changed();
    for (const task of this.waitingTasks) this.wake(task);
  }

  hostLost(host: Host, nowMs: number): void {
    for (const peer of host.peers) {
      if (peer.task.leases.release(peer)) this.wake(peer.task);
      this.triggerFailed(peer.task, host.id, nowMs);
    }
    for (const task of this.waitingTasks) this.triggerFailed(task, host.id, nowMs);
    this.#releaseHostLeases(host);
    this.hostChanged(host);
    for (const peer of host.peers) {
      this.dropChildren(peer);
      // Somebody may wait to hear whether this host is there.
      if (host.isAsked) this.wake(peer.task);
    }
    host.isAsked = false;
  }

  /** The triggered seed has begun, or has everything. */
  fetchArrived(task: Task, host: Host, nowMs: number): void {
    if (task.fetch.kind !== 'seedTriggered' || task.fetch.seedHostId !== host.id) return;
    task.fetch = { kind: 'none' };
    task.progressAtMs = nowMs;
  }

  /** Forgets a trigger that is still pending, and remembers the failure. */
  triggerFailed(task: Task, seedHostId: string, nowMs: number): void {
    if (task.fetch.kind !== 'seedTriggered' || task.fetch.seedHostId !== seedHostId) return;
    task.fetch = { kind: 'none' };
    task.progressAtMs = nowMs;
    task.seedFailures.set(seedHostId, nowMs);
    this.wake(task);
  }

  /** A seed's download came to nothing. */
  seedFailed(task: Task, host: Host, nowMs: number): void {
    if (!host.isSeed) return;
    this.triggerFailed(task, host.id, nowMs);
    task.seedFailures.set(host.id, nowMs);
  }

  #releaseHostLeases(host: Host): void {
    for (const task of this.leasedToHosts) if (task.leases.releaseHost(host.id)) this.wake(task);
  }
}

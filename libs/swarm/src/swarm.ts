// Who owns what: the swarm owns all hosts, tasks and peers, kept in its roster, and is the only one to change them. Facts
// come in through its methods, each with the time at which it became known, and every method returns what is to be done
// about it. There is no clock, no timer and no randomness in here but what is passed in.
import type { ByteRange } from '@d7y/piece';
import type { Answering } from './answering.ts';
import { Blame } from './blame.ts';
import { refusal } from './decision.ts';
import type { Decision } from './decision.ts';
import { Expiry } from './expiry.ts';
import type { EndFacts, Offence, PiecesFacts, RegistrationFacts } from './facts.ts';
import { Host } from './host.ts';
import type { HostFacts, HostView } from './host.ts';
import { restore } from './memory.ts';
import type { SwarmMemory, SwarmWatcher } from './memory.ts';
import type { Peer, PeerState, PeerView } from './peer.ts';
import { ATTACHED } from './peer.ts';
import { Roster } from './roster.ts';
import { DEFAULT_SWARM_OPTIONS } from './swarm-options.ts';
import type { SwarmLimits, SwarmOptions } from './swarm-options.ts';
import type { Task, TaskView } from './task.ts';

/** Numbers of what the swarm holds. */
export interface SwarmCounts {
  readonly hosts: number;
  readonly tasks: number;
  readonly peers: number;
  readonly waitingPeers: number;
  readonly peersByState: Readonly<Record<PeerState, number>>;
}

/** The largest piece number that is believed; the grid allows some ten thousand pieces. */
const MAX_PIECE_NUMBER = 2 ** 20;
/** Enough to find a daemon that can be trusted where there are any number of them. */
const ANCHORS_LOOKED_AT = 16;
/** Complaints of so many children make a host worth a look before they take it out of the offers. */
const COMPLAINTS_WORTH_A_PROBE = 2;

/** The scheduler's knowledge and judgement, without its network. */
export class Swarm {
  readonly #roster: Roster;
  readonly #answering: Answering;
  readonly #expiry: Expiry;
  readonly #blame: Blame;
  readonly #ownHostIds = new Set<string>();
  /** Hosts whose own stream is open, announced or not. */
  readonly #linkedHostIds = new Set<string>();
  readonly #random: () => number;
  readonly #settledAtMs: number;
  #isSettled = false;

  /** @param random uniform in [0, 1); @param nowMs when the swarm begins */
  constructor(options: Partial<SwarmOptions>, random: () => number, nowMs: number) {
    this.#roster = new Roster({ ...DEFAULT_SWARM_OPTIONS, ...options });
    this.#blame = new Blame({
      service: this.#roster.options.probation,
      honesty: this.#roster.options.distrust,
    });
    this.#random = random;
    this.#settledAtMs = nowMs + this.#roster.options.settleMs;
    this.#answering = this.#roster.options.policy.createAnswering({
      roster: this.#roster,
      blame: this.#blame,
      random,
      settledAtMs: this.#settledAtMs,
    });
    this.#expiry = new Expiry(this.#roster, nowMs);
  }

  /** Limits that may change while the swarm lives; they hold from the next decision on. */
  adjust(limits: SwarmLimits): void {
    const { filterParentLimit: _ofThePolicy, ...options } = limits;
    Object.assign(this.#roster.options, options);
    this.#answering.adjust?.(limits);
  }

  host(hostId: string): HostView | undefined {
    return this.#roster.hosts.get(hostId);
  }

  task(taskId: string): TaskView | undefined {
    return this.#roster.tasks.get(taskId);
  }

  peer(peerId: string): PeerView | undefined {
    return this.#roster.peers.get(peerId);
  }

  hosts(): Iterable<HostView> {
    return this.#roster.hosts.values();
  }

  /** All seeds, in whatever state. */
  seeds(): Iterable<HostView> {
    return this.#roster.seeds;
  }

  tasks(): Iterable<TaskView> {
    return this.#roster.tasks.values();
  }

  /** May be read a part at a time: what comes and goes meanwhile does no harm. */
  peers(): Iterable<PeerView> {
    return this.#roster.peers.values();
  }

  get peerCount(): number {
    return this.#roster.peers.size;
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
    for (const { state } of this.#roster.peers.values()) peersByState[state]++;
    let waitingPeers = 0;
    for (const { waiting } of this.#roster.waitingTasks) waitingPeers += waiting.size;
    return {
      hosts: this.#roster.hosts.size,
      tasks: this.#roster.tasks.size,
      peers: this.#roster.peers.size,
      waitingPeers,
      peersByState,
    };
  }

  /** @returns undefined when the table of hosts is full and the host is not in it */
  hostAnnounced(facts: HostFacts, nowMs: number): Decision[] | undefined {
    let host = this.#roster.hosts.get(facts.id);
    if (host !== undefined && host.facts.kind !== facts.kind) {
      this.#roster.removeHost(host, nowMs);
      host = undefined;
    }
    if (host === undefined) {
      if (this.#roster.hosts.size >= this.#roster.options.maxHosts) return undefined;
      host = new Host(facts, this.#ownHostIds.has(facts.id), nowMs);
      host.isLinked = this.#linkedHostIds.has(facts.id);
      this.#roster.hosts.set(facts.id, host);
      if (host.isSeed) this.#roster.seeds.add(host);
    } else {
      host.facts = facts;
      this.#roster.setLeaving(host, false);
      host.announcedAtMs = host.heardAtMs = nowMs;
      host.isRemembered = false;
      host.apply('announced', nowMs);
      this.#roster.seeds.changed();
      this.#roster.reindexHost(host);
    }
    if (host.state.kind === 'unproven') this.#roster.decisions.push({ kind: 'probeHost', hostId: host.id });
    return this.#answering.settle(nowMs);
  }

  /** Has somebody told what is worth remembering, from now on. */
  watch(watcher: SwarmWatcher): void {
    this.#roster.watcher = watcher;
  }

  /** Begins with what was known before a restart; before anything else is told. */
  restore(memory: SwarmMemory, nowMs: number): Decision[] {
    restore(this.#roster, memory, nowMs);
    return this.#answering.settle(nowMs);
  }

  /** The host introduced itself as a program of ours; may come before its announcement. */
  hostRecognised(hostId: string): void {
    if (this.#ownHostIds.size < this.#roster.options.maxHosts) this.#ownHostIds.add(hostId);
    const host = this.#roster.hosts.get(hostId);
    if (host === undefined || host.isOwn) return;
    host.isOwn = true;
    this.#roster.reindexHost(host);
  }

  hostLeft(hostId: string, nowMs: number): Decision[] {
    const host = this.#roster.hosts.get(hostId);
    if (host !== undefined) this.#roster.removeHost(host, nowMs);
    this.#ownHostIds.delete(hostId);
    return this.#answering.settle(nowMs);
  }

  /** Result of a health check. */
  hostProbed(hostId: string, isHealthy: boolean, nowMs: number): Decision[] {
    const host = this.#roster.hosts.get(hostId);
    if (host === undefined) return [];
    const { state } = host;
    if (isHealthy) {
      const wasRemembered = host.isRemembered;
      host.heardAtMs = nowMs;
      host.isRemembered = false;
      if (host.apply('proved', nowMs) || wasRemembered) this.#roster.hostChanged(host);
    } else if (state.kind === 'alive') {
      // One missed check is no proof: a busy host answers late.
      this.#roster.doubt(host, nowMs);
    } else if (state.kind !== 'suspect' || host.heardAtMs <= state.sinceMs) {
      if (host.apply('missed', nowMs)) this.#roster.hostLost(host, nowMs);
    }
    return this.#answering.settle(nowMs);
  }

  peerRegistered(facts: RegistrationFacts, nowMs: number): Decision[] {
    const host = this.#roster.hosts.get(facts.hostId);
    if (host === undefined) {
      return [refusal(facts.peerId, 'notFound', `host ${facts.hostId} has not announced itself`)];
    }
    const known = this.#roster.peers.get(facts.peerId);
    if (known !== undefined && (known.host !== host || known.task.id !== facts.taskId)) {
      return [refusal(facts.peerId, 'failedPrecondition', `peer ${facts.peerId} belongs to another host or task`)];
    }
    if (known?.isActive === false) this.#roster.removePeer(known, nowMs);
    const peer = known?.isActive ? known : this.#roster.createPeer(facts, host, nowMs);
    if (peer === undefined) return [refusal(facts.peerId, 'resourceExhausted', 'the scheduler holds all it can')];
    this.#roster.heard(host, nowMs);
    const { task } = peer;
    this.#replaceLost(peer, nowMs);
    peer.link = ATTACHED;
    peer.priority = facts.priority;
    if (!isSameRange(peer.range, facts.range)) {
      peer.dropParents();
      this.#roster.dropChildren(peer);
      peer.range = facts.range;
    }
    peer.needBackToSource = facts.needBackToSource;
    if (facts.priority === 3) task.isPrivate = true;
    task.learnSize(facts);
    for (const pieceNumber of facts.heldPieces ?? []) addPiece(peer, pieceNumber);
    if (peer.finishedPieces.size > 0 && known === undefined && !task.hasBeenAnchored) {
      task.isTakenUp = true;
      this.#roster.orphan(task);
    }
    if (facts.metadataOnly) {
      task.apply('download', nowMs);
      peer.apply('registerNormal', nowMs);
      this.#roster.decisions.push({ kind: 'answerMetadataOnly', peerId: peer.id });
    } else if (task.size.contentLength === 0) {
      task.apply('download', nowMs);
      peer.apply('registerEmpty', nowMs);
      this.#roster.decisions.push({ kind: 'answerEmpty', peerId: peer.id });
    } else {
      peer.apply('registerNormal', nowMs);
      this.#roster.owe(peer, 'register', nowMs);
    }
    this.#roster.reindex(peer);
    return this.#answering.settle(nowMs);
  }

  /** The peer is fetching from its parents. */
  peerStarted(peerId: string, nowMs: number): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      peer.apply('download', nowMs);
      peer.task.starting.delete(peer);
      this.#roster.wake(peer.task);
      this.#roster.reindex(peer);
    });
  }

  backToSourceStarted(peerId: string, nowMs: number): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      this.#answering.wentToOrigin(peer, nowMs);
    });
  }

  /** @param parentId undefined when the piece came from the origin */
  pieceFinished(peerId: string, pieceNumber: number, parentId: string | undefined, nowMs: number): Decision[] {
    const deliveries = [{ parentId, pieces: 1, bytes: 0, durationMs: 0 }];
    return this.piecesFinished(peerId, { pieces: [pieceNumber], deliveries }, nowMs);
  }

  /** Pieces came, or are found to be here. */
  piecesFinished(peerId: string, { pieces, deliveries }: PiecesFacts, nowMs: number): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      const hadNone = peer.finishedPieces.size === 0;
      peer.updatedAtMs = peer.task.updatedAtMs = nowMs;
      for (const pieceNumber of pieces) addPiece(peer, pieceNumber);
      if (hadNone && peer.finishedPieces.size > 0) this.#roster.reindex(peer);
      if (deliveries.length > 0) peer.host.receivedAtMs = nowMs;
      for (const { parentId } of deliveries) {
        const parent = parentId === undefined ? undefined : this.#roster.peers.get(parentId);
        if (parent === undefined) continue;
        parent.updatedAtMs = nowMs;
        this.#roster.heard(parent.host, nowMs);
      }
      this.#answering.delivered(peer, deliveries, nowMs);
    });
  }

  /** A parent could not deliver, or delivered wrong bytes. */
  pieceFailed(peerId: string, parentId: string, nowMs: number): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      this.#answering.parentFailed(peer, parentId);
      const parent = this.#roster.peers.get(parentId);
      if (parent === undefined || parent.task !== peer.task || parent.host === peer.host) return;
      this.#badService(parent.host, peer.host.id, nowMs);
    });
  }

  /** A host complains of another one; one that is not known is not heard. */
  hostBlamed(hostId: string, byHostId: string, offence: Offence, nowMs: number): Decision[] {
    const host = this.#roster.hosts.get(hostId);
    if (host === undefined || hostId === byHostId || !this.#roster.hosts.has(byHostId)) return [];
    if (offence === 'wrongBytes' || offence === 'falseVoucher') this.#blame.complain('honesty', host, byHostId, nowMs);
    else this.#badService(host, byHostId, nowMs);
    return this.#answering.settle(nowMs);
  }

  /** Several hosts found that this one sends, or vouches for, what is not so. */
  isDistrusted(hostId: string, nowMs: number): boolean {
    const host = this.#roster.hosts.get(hostId);
    return host !== undefined && this.#blame.isDistrusted(host, nowMs);
  }

  /**
   * A host that does have parents asks to fetch missing pieces of a task from the origin, or goes on to.
   * @returns whether it may, until `hostLeaseMs` from now
   */
  leaseRequested(hostId: string, taskId: string, nowMs: number): boolean {
    const task = this.#roster.tasks.get(taskId);
    const host = this.#roster.hosts.get(hostId);
    if (task === undefined || host === undefined) return false;
    this.#roster.heard(host, nowMs);
    if (!task.leases.isHeldByHost(hostId) && this.#mustWait(task, host, nowMs)) return false;
    const isGranted = task.leases.grantHost(hostId, nowMs + this.#roster.options.hostLeaseMs);
    if (isGranted) task.leasePatience.forget(hostId);
    if (task.leases.hasHostLeases) this.#roster.leasedToHosts.add(task);
    return isGranted;
  }

  /** Somebody who can be trusted to deliver has the content, and the host has not asked for long, or is busy with other tasks. */
  #mustWait(task: Task, { id: hostId, receivedAtMs }: Host, nowMs: number): boolean {
    const { leasePatienceMs, busyLeasePatienceMs, busyWindowMs } = this.#roster.options;
    const isBusy = nowMs - receivedAtMs < busyWindowMs;
    const patienceMs = isBusy ? busyLeasePatienceMs : leasePatienceMs;
    for (const { host } of task.anchors.sample(ANCHORS_LOOKED_AT, this.#random)) {
      if (!host.isLinked || host.id === hostId || host.state.kind !== 'alive') continue;
      return !task.leasePatience.hasWaited(hostId, patienceMs, nowMs);
    }
    return false;
  }

  leaseReturned(hostId: string, taskId: string, nowMs: number): Decision[] {
    const task = this.#roster.tasks.get(taskId);
    if (task?.leases.releaseHost(hostId) === true) this.#roster.wake(task);
    return this.#answering.settle(nowMs);
  }

  /** The host's own stream is open. */
  linkOpened(hostId: string, nowMs: number): Decision[] {
    this.hostRecognised(hostId);
    if (this.#linkedHostIds.size < this.#roster.options.maxHosts) this.#linkedHostIds.add(hostId);
    const host = this.#roster.hosts.get(hostId);
    if (host !== undefined) {
      host.isLinked = true;
      host.unlinkedAtMs = undefined;
      this.#roster.unlinked.delete(host);
      this.#roster.setLeaving(host, false);
      this.#roster.heard(host, nowMs);
      this.#roster.reindexHost(host);
    }
    return this.#answering.settle(nowMs);
  }

  /** The host's own stream broke: it is looked at, and its leases end soon unless it comes back and asks again. */
  linkLost(hostId: string, nowMs: number): Decision[] {
    this.#linkedHostIds.delete(hostId);
    const host = this.#roster.hosts.get(hostId);
    if (host === undefined) return [];
    host.isLinked = false;
    host.unlinkedAtMs = nowMs;
    this.#roster.unlinked.add(host);
    const { leasedToHosts, options } = this.#roster;
    for (const task of leasedToHosts) task.leases.shortenHost(hostId, nowMs + options.leaseGraceMs);
    this.#roster.doubt(host, nowMs);
    return this.#answering.settle(nowMs);
  }

  /** The host says that it is about to stop. */
  hostDraining(hostId: string, nowMs: number): Decision[] {
    const host = this.#roster.hosts.get(hostId);
    if (host !== undefined) this.#roster.setLeaving(host, true);
    return this.#answering.settle(nowMs);
  }

  /** A piece could not be had from the origin; the download may go on. */
  originPieceFailed(peerId: string, nowMs: number): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      peer.updatedAtMs = nowMs;
    });
  }

  /** The parents offered so far will not do. @param exhaustedParentIds not to be offered to this peer as they are */
  rescheduleRequested(peerId: string, exhaustedParentIds: Iterable<string>, nowMs: number): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      if (!peer.isActive) return;
      for (const parentId of exhaustedParentIds) this.#answering.parentExhausted(peer, parentId);
      this.#roster.owe(peer, 'reschedule', nowMs);
      this.#roster.reindex(peer);
    });
  }

  peerFinished(peerId: string, facts: EndFacts, nowMs: number): Decision[] {
    return this.#withPeer(peerId, nowMs, (peer) => {
      const { task } = peer;
      if (peer.apply('downloadSucceeded', nowMs) && peer.range === undefined) {
        if (facts.fromOrigin) task.apply('downloadSucceeded', nowMs);
        this.#roster.fetchArrived(task, peer.host, nowMs);
      }
      this.#roster.conclude(peer);
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
      this.#roster.seedFailed(task, peer.host, nowMs);
      this.#roster.conclude(peer);
      this.#answering.peerFailed(peer);
    });
  }

  /** The conversation with the peer broke without a last word. */
  streamLost(peerId: string, nowMs: number): Decision[] {
    const peer = this.#roster.peers.get(peerId);
    if (peer?.link.kind !== 'attached' || !peer.isActive) return [];
    this.#answering.conversationBroke(peer, nowMs);
    return this.#answering.settle(nowMs);
  }

  /** The trigger could not be delivered, or the seed answered it with an error. */
  seedTriggerFailed(taskId: string, seedHostId: string, nowMs: number): Decision[] {
    const task = this.#roster.tasks.get(taskId);
    const host = this.#roster.hosts.get(seedHostId);
    if (host !== undefined) this.#roster.doubt(host, nowMs);
    if (task !== undefined) this.#roster.triggerFailed(task, seedHostId, nowMs);
    return this.#answering.settle(nowMs);
  }

  /** The seed says that it has done what it was triggered for. */
  seedTriggerEnded(taskId: string, seedHostId: string, nowMs: number): Decision[] {
    const task = this.#roster.tasks.get(taskId);
    // A seed that never told us of a copy is of no use to those who wait, whatever it has.
    if (task !== undefined) this.#roster.triggerFailed(task, seedHostId, nowMs);
    return this.#answering.settle(nowMs);
  }

  /** The peer is to be forgotten, whatever it is doing. */
  deletePeer(peerId: string, nowMs: number): Decision[] {
    const peer = this.#roster.peers.get(peerId);
    if (peer !== undefined) this.#roster.removePeer(peer, nowMs);
    return this.#answering.settle(nowMs);
  }

  /** The host no longer has the content. */
  deleteTask(hostId: string, taskId: string, nowMs: number): Decision[] {
    const task = this.#roster.tasks.get(taskId);
    if (task !== undefined) {
      for (const peer of [...task.peers]) if (peer.host.id === hostId) this.#roster.removePeer(peer, nowMs);
    }
    return this.#answering.settle(nowMs);
  }

  /** Deadlines, graces, further offers and expiry; to be called a few times a second. */
  tick(nowMs: number): Decision[] {
    if (!this.#isSettled && nowMs >= this.#settledAtMs) {
      this.#isSettled = true;
      for (const task of this.#roster.waitingTasks) this.#roster.wake(task);
    }
    for (const peer of this.#roster.lost) this.#expireLost(peer, nowMs);
    for (const host of this.#roster.unlinked) {
      if (nowMs - (host.unlinkedAtMs ?? nowMs) < this.#roster.options.linkGraceMs) continue;
      this.#roster.unlinked.delete(host);
      this.#roster.setLeaving(host, true);
    }
    for (const task of this.#roster.leasedToHosts) {
      if (task.leases.expireHosts(nowMs)) this.#roster.wake(task);
      if (!task.leases.hasHostLeases) this.#roster.leasedToHosts.delete(task);
    }
    const decisions = this.#answering.settle(nowMs);
    this.#answering.tick(nowMs);
    this.#expiry.collect(nowMs);
    return [...decisions, ...this.#answering.settle(nowMs)];
  }

  /** The peer takes the place of those of its host and task whose conversation broke. */
  #replaceLost(peer: Peer, nowMs: number): void {
    const { lost } = this.#roster;
    const { host, task } = peer;
    // Either may be very many.
    if (lost.size > 0)
      for (const other of lost.size < host.peers.size ? lost : host.peers)
        if (other.link.kind === 'lost' && other.host === host && other.task === task && other !== peer)
          this.#roster.removePeer(other, nowMs);
    lost.delete(peer);
  }

  #withPeer(peerId: string, nowMs: number, change: (peer: Peer) => void): Decision[] {
    const peer = this.#roster.peers.get(peerId);
    if (peer === undefined) return [];
    this.#roster.heard(peer.host, nowMs);
    change(peer);
    return this.#answering.settle(nowMs);
  }

  #badService(host: Host, byHostId: string, nowMs: number): void {
    const complainants = this.#blame.complain('service', host, byHostId, nowMs);
    if (complainants === COMPLAINTS_WORTH_A_PROBE) this.#roster.decisions.push({ kind: 'probeHost', hostId: host.id });
  }

  #expireLost(peer: Peer, nowMs: number): void {
    if (peer.link.kind !== 'lost') return;
    const goneMs = nowMs - peer.link.sinceMs;
    if (goneMs >= this.#roster.options.leaseGraceMs && peer.task.leases.release(peer)) {
      this.#roster.reindex(peer);
      this.#roster.wake(peer.task);
    }
    if (goneMs >= this.#roster.options.peerGraceMs) this.#roster.removePeer(peer, nowMs);
  }
}

/** What cannot be a piece of the task is passed over. */
function addPiece({ task, finishedPieces }: Peer, pieceNumber: number): void {
  const limit = Math.min(task.size.pieceCount ?? MAX_PIECE_NUMBER, MAX_PIECE_NUMBER);
  if (Number.isInteger(pieceNumber) && pieceNumber >= 0 && pieceNumber < limit && finishedPieces.add(pieceNumber))
    task.holders?.add(pieceNumber);
}

const isSameRange = (one: ByteRange | undefined, other: ByteRange | undefined): boolean =>
  one?.start === other?.start && one?.length === other?.length;

/** Statuses by which an origin turns the request down, not just this attempt. */
const isRefusal = (status: number | undefined): boolean =>
  status !== undefined && status >= 400 && status < 500 && ![408, 425, 429].includes(status);

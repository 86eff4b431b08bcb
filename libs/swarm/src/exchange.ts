// Who owns what: the exchange keeps the zones of every task and decides who is whose neighbour; who is told of it, and when, is not its
// concern. Everything here costs the same whether a task has ten peers or a hundred thousand.
import type { ByteRange } from '@d7y/piece';
import type { Blame } from './blame.ts';
import type { Peer } from './peer.ts';
import type { Roster } from './roster.ts';
import type { SampleSet } from './sample-set.ts';
import type { Task } from './task.ts';
import { coversWish, isSharedWish, placeOf, placesNear } from './wish.ts';
import type { Pool } from './zone.ts';
import { Zone } from './zone.ts';

/** Parents that a peer gets at first; it is left with room for those who come after it. */
const FIRST_PARENTS = 7;
/** Parents of a gateway that are in other zones. */
const REMOTE_PARENTS = 4;
/** Candidates in another zone looked at. */
const REMOTE_SAMPLE = 3;
/** Candidates looked at beside those that are wanted. */
const SPARE_CANDIDATES = 4;
/** From so many peers with room for parents on they alone are drawn from: enough for a graph that is random. */
const MANY_HUNGRY = 40;
/** Zones with fewer members have one gateway, others two: should one be slow, the zone is not. */
const SMALL_ZONE = 50;
/** Candidates for a gateway looked at. */
const GATEWAY_SAMPLE = 8;
/** Candidates looked at for one that wants all that a peer does which wants a range. */
const ALIKE_SAMPLE = 64;
/** Children of a peer whose host uploads slowly. */
const SLOW_CHILDREN = 3;
/** Other zones tried for a remote parent. */
const ZONE_TRIES = 6;
const NOBODY: readonly Peer[] = [];
/** A chain of feeders is never so long; it ends a walk in any case. */
const MAX_CHAIN = 100_000;

/** Neighbours, gateways and paths among the peers of each task. */
export class Exchange {
  readonly #roster: Roster;
  readonly #blame: Blame;
  readonly #random: () => number;
  #nowMs = 0;

  constructor(roster: Roster, blame: Blame, random: () => number) {
    this.#roster = roster;
    this.#blame = blame;
    this.#random = random;
    roster.onReindex = (peer) => this.update(peer);
    roster.onTask = (task) => {
      task.parentsChanged = (child) => {
        this.#updateHunger(child);
        if (task.pathless.size > 0) roster.broken.add(task);
      };
      task.childrenChanged = (parent) => {
        this.#updateRoom(parent);
        this.#wakeThoseInLine(parent);
      };
    };
  }

  /** Makes the children, which are all of one task, each other's neighbours and those of others. Nobody is told. */
  join(children: readonly Peer[], nowMs: number): void {
    this.#nowMs = nowMs;
    const [first] = children;
    if (first === undefined) return;
    const { task } = first;
    const zonesBefore = task.zones.size;
    for (const child of children) {
      child.offeredAtMs = nowMs;
      this.#dropUseless(child);
      this.update(child);
    }
    if (task.zones.size > 1) {
      if (zonesBefore <= 1) for (const zone of task.zones.values()) this.#elect(zone);
      else if (children.length === 1) this.#electIn(task, first.host.place.zoneKey);
      else for (const key of new Set(children.map(({ host }) => host.place.zoneKey))) this.#electIn(task, key);
    }
    if (children.length === 1) this.#find(first, FIRST_PARENTS);
    else for (const child of this.#shuffled(children)) this.#find(child, FIRST_PARENTS);
    this.#givePaths(children);
  }

  /** More parents for a peer that has some already. */
  topUp(child: Peer, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#dropUseless(child);
    this.#find(child, this.#roster.options.ownCandidateParentLimit);
    this.#givePaths([child]);
  }

  /** Mends broken chains where there is something to mend them with. */
  mend(task: Task, nowMs: number): void {
    this.#nowMs = nowMs;
    if (task.anchors.size === 0) return;
    const broken = [...task.pathless].filter((peer) => this.#needsPath(peer));
    task.pathless.clear();
    this.#givePaths(broken);
  }

  /** Whether a child may be sent to this parent, whatever else they are to each other. */
  mayServe(parent: Peer, child: Peer, nowMs: number): boolean {
    if (parent.task !== child.task || parent.host === child.host) return false;
    if (child.parents.size > 0 && child.parents.has(parent)) return false;
    if (!isSharedWish(parent, child)) return false;
    if (child.refuses(parent) || this.isBarred(parent, nowMs)) return false;
    return this.#hasRoom(parent);
  }

  /** Whoever alone has, or fetches, everything is there for all however badly it serves: without it nobody gets anything. */
  isBarred({ host, task, isSource }: Peer, nowMs: number): boolean {
    if (!this.#blame.isOnProbation(host, nowMs)) return false;
    if (!isSource || this.#blame.isDistrusted(host, nowMs)) return true;
    return task.anchors
      .sample(GATEWAY_SAMPLE, this.#random)
      .some((anchor) => anchor.host !== host && !this.#blame.isOnProbation(anchor.host, nowMs));
  }

  /**
   * A few of each task even where the host's uplink has enough of all tasks together: the layers of an image are wanted by the same hosts, which get
   * no more for wanting several, and those that were refused a layer would go to the origin for it.
   */
  #hasRoom({ host, children }: Peer): boolean {
    const { maxHostChildren, maxSeedChildren, peerChildren, bitsPerSecondPerChild } = this.#roster.options;
    if (host.childCount >= (host.isSeed ? maxSeedChildren : maxHostChildren)) return false;
    const bandwidth = host.facts.uploadBitsPerSecond ?? Infinity;
    return children.size < peerChildren || host.childCount < Math.floor(bandwidth / bitsPerSecondPerChild);
  }

  /** Children that a peer should have at the most. */
  peerLimit(peer: Peer): number {
    const { sourceChildren, peerChildren } = this.#roster.options;
    if (peer.isSource) return sourceChildren;
    return peer.host.isSlow ? SLOW_CHILDREN : peerChildren;
  }

  /** Looks again at those who wait until the host of this parent serves fewer, now that it may. */
  #wakeThoseInLine(parent: Peer): void {
    const { awaitedBy } = parent.host;
    if (awaitedBy.size === 0 || !this.#hasRoom(parent)) return;
    for (const task of awaitedBy) {
      awaitedBy.delete(task);
      this.#roster.wake(task);
    }
  }

  /** Whether bytes reach the peer from somebody who has, or fetches, everything; or it is that somebody. */
  hasPath(peer: Peer): boolean {
    let node: Peer | undefined = peer;
    for (let step = 0; node !== undefined && step < MAX_CHAIN; step++) {
      if (node.isSpring) return true;
      if (node !== peer && !node.isFeeding) return false;
      node = node.feeder;
    }
    return false;
  }

  /** Notes through which of its parents a peer has a path, where it has one. */
  feed(child: Peer): boolean {
    if (child.feeder !== undefined && this.hasPath(child)) return true;
    child.feeder = undefined;
    const { fallback } = child;
    let chosen: Peer | undefined;
    for (const parent of child.parents) {
      if (parent === fallback || (chosen !== undefined && depthOf(parent) >= depthOf(chosen))) continue;
      if (this.#leadsFrom(parent, child)) chosen = parent;
    }
    if (chosen === undefined && fallback !== undefined && this.#leadsFrom(fallback, child)) chosen = fallback;
    if (chosen === undefined) return false;
    setFeeder(child, chosen);
    return true;
  }

  /** Puts the peer where it belongs by now. */
  update(peer: Peer): void {
    const { task } = peer;
    const isSource = peer.isSharer && peer.isSource;
    if (isSource) task.sources.add(peer);
    else if (task.sources.size > 0) task.sources.delete(peer);
    const takesPart = !isSource && this.#takesPart(peer);
    if (takesPart && peer.zone === undefined) {
      const key = peer.host.place.zoneKey;
      let zone = task.zones.get(key);
      if (zone === undefined) zone = task.addZone(new Zone(key));
      peer.zone = zone;
      peer.pool = peer.range === undefined ? zone.whole : zone.enter(placeOf(peer.range, task.size.contentLength));
      peer.pool.members++;
      zone.members++;
    }
    const { zone, pool } = peer;
    if (zone !== undefined && pool !== undefined) {
      const isCopy = takesPart && peer.isAnchor;
      if (isCopy !== peer.isCopy) {
        peer.isCopy = isCopy;
        zone.copies += isCopy ? 1 : -1;
      }
      if (!takesPart) {
        zone.members--;
        pool.members--;
        peer.zone = peer.pool = undefined;
        pool.open.delete(peer);
        pool.hungry.delete(peer);
        if (pool.members === 0) zone.tidy();
        if (zone.members === 0) task.removeZone(zone);
      }
      if ((!takesPart || peer.state === 'Succeeded') && zone.gateways.size > 0 && zone.gateways.delete(peer))
        this.#elect(zone);
    }
    this.#updateRoom(peer);
    this.#updateHunger(peer);
    if (!peer.isFeeding) this.#cutOff(peer);
  }

  /** One of those between whom pieces are exchanged: it gives, and is one of ours or has everything. */
  #takesPart(peer: Peer): boolean {
    if (!peer.host.isFit || this.#isAside(peer)) return false;
    if (peer.state === 'Succeeded') return true;
    if (!peer.host.isOwn || peer.link.kind !== 'attached') return false;
    return peer.offeredAtMs > -Infinity && (peer.state === 'ReceivedNormal' || peer.state === 'Running');
  }

  /** In doubt: it keeps what it has, and is offered to nobody as long as there are others. */
  #isAside({ host }: Peer): boolean {
    return host.state.kind === 'suspect' || this.#blame.isOnProbation(host, this.#nowMs);
  }

  /** Its children, or how many it may have, are others now. */
  #updateRoom(peer: Peer): void {
    const { pool } = peer;
    if (pool === undefined) return;
    if (peer.children.size < this.peerLimit(peer)) pool.open.add(peer);
    else pool.open.delete(peer);
  }

  /** Its parents, or whether it is to have any, are others now. */
  #updateHunger(peer: Peer): void {
    const { pool } = peer;
    if (pool === undefined) return;
    if (this.#wantsMore(peer)) pool.hungry.add(peer);
    else pool.hungry.delete(peer);
  }

  #wantsMore(peer: Peer): boolean {
    if (!peer.host.isOwn || (peer.state !== 'ReceivedNormal' && peer.state !== 'Running')) return false;
    return peer.parents.size < this.#roster.options.ownCandidateParentLimit && !peer.task.leases.isHeldBy(peer);
  }

  /** Who got bytes through this peer needs another way. */
  #cutOff(peer: Peer): void {
    for (const child of peer.children) {
      if (child.feeder !== peer) continue;
      child.feeder = undefined;
      child.task.pathless.add(child);
      this.#roster.broken.add(child.task);
    }
  }

  /** Parents that cannot give anything any more. */
  #dropUseless(child: Peer): void {
    for (const parent of child.parents) {
      if (!parent.isFeeding || child.refuses(parent)) child.removeParent(parent);
    }
  }

  #find(child: Peer, target: number): void {
    const { task, host } = child;
    // Sources stand aside: where they are matters to nobody else.
    const key = host.place.zoneKey;
    const zone = task.zones.get(key);
    const isAlone = task.zones.size === 0 || (task.zones.size === 1 && zone !== undefined);
    const isGateway = zone?.gateways.has(child) === true;
    if (isAlone || isGateway) this.#takeSource(child);
    else this.#takeSource(child, key);
    if (zone === undefined) {
      if (isAlone) return;
      while (child.parents.size < REMOTE_PARENTS && this.#takeRemote(child, false) !== undefined);
      return;
    }
    if (isGateway) this.#openGateway(child, zone);
    else if (!isAlone) child.fallback ??= this.#takeRemote(child, false);
    if (child.range !== undefined)
      for (const pool of partsNear(zone, child.range, task.size.contentLength)) this.#draw(child, pool, target);
    this.#draw(child, zone.whole, target);
  }

  /** Parents in other zones, for which some of those in its own make room. */
  #openGateway(child: Peer, zone: Zone): void {
    const { ownCandidateParentLimit } = this.#roster.options;
    child.fallback = undefined;
    let remote = 0;
    for (const parent of child.parents) if (parent.zone !== zone) remote++;
    const wanted = Math.max(REMOTE_PARENTS, ownCandidateParentLimit - zone.members) - remote;
    for (const parent of child.parents) {
      if (child.parents.size + wanted <= ownCandidateParentLimit) break;
      if (parent.zone === zone && parent !== child.feeder) child.removeParent(parent);
    }
    for (let count = 0; count < wanted; count++) this.#takeRemote(child, true);
  }

  /** A source that has fewer children than it should at most. */
  #takeSource(child: Peer, zoneKey?: string): void {
    if (child.host.facts.disableShared) return;
    for (const source of child.task.sources) {
      if (zoneKey !== undefined && source.host.place.zoneKey !== zoneKey) continue;
      if (source.children.size < this.peerLimit(source) && this.#link(child, source, false)) return;
    }
  }

  /** Neighbours out of one pool, until the child has so many parents. */
  #draw(child: Peer, { hungry, open }: Pool, target: number): void {
    if (child.parents.size >= target) return;
    const isCrowd = hungry.size >= MANY_HUNGRY;
    const half = isCrowd ? target : child.parents.size + Math.ceil((target - child.parents.size) / 2);
    // Half of those with room for parents, half of all: those who came lately must not be left among themselves.
    this.#drawFrom(child, hungry, half);
    this.#drawFrom(child, open, target);
    this.#drawFrom(child, hungry, target);
  }

  #drawFrom(child: Peer, pool: SampleSet<Peer>, until: number): void {
    if (child.parents.size >= until || pool.size === 0) return;
    const candidates = pool.sample(until - child.parents.size + SPARE_CANDIDATES, this.#random);
    // All of a few come in the order in which they are kept.
    for (const parent of candidates.length < pool.size ? candidates : this.#shuffled(candidates)) {
      if (child.parents.size >= until) break;
      if (parent.children.size < this.peerLimit(parent)) this.#link(child, parent, true);
    }
  }

  /** @returns the parent in another zone that was found */
  #takeRemote(child: Peer, isForGateway: boolean): Peer | undefined {
    const { zoneList: zones } = child.task;
    for (let attempt = 0; attempt < ZONE_TRIES; attempt++) {
      const zone = zones[Math.floor(this.#random() * zones.length)];
      if (zone === undefined || zone === child.zone) continue;
      const gateways = isForGateway ? this.#shuffled([...zone.gateways]) : NOBODY;
      const others = zone.whole.open.sample(REMOTE_SAMPLE, this.#random);
      for (const parent of gateways.length === 0 ? others : [...gateways, ...others]) {
        if (parent === child || (!isForGateway && zone.gateways.has(parent))) continue;
        const isRoom = parent.children.size < this.peerLimit(parent);
        if (isRoom && this.#link(child, parent, isForGateway && zone.gateways.has(parent))) return parent;
      }
    }
    return undefined;
  }

  /** @param isMutual the parent shall have the child for a parent, too, where it has room for one */
  #link(child: Peer, parent: Peer, isMutual: boolean): boolean {
    if (parent === child || child.parents.size >= this.#roster.options.ownCandidateParentLimit) return false;
    if (!parent.host.isFit || !this.mayServe(parent, child, this.#nowMs)) return false;
    // Bytes must not run in a circle through a stock peer: it has parents or children of ours, never both.
    if (!parent.host.isOwn && parent.parents.size > 0) return false;
    child.addParent(parent);
    if (!isMutual || !this.#wantsMore(parent) || child.zone === undefined) return true;
    if (child.children.size >= this.peerLimit(child) || !this.mayServe(child, parent, this.#nowMs)) return true;
    parent.addParent(child);
    this.#roster.stale(parent);
    return true;
  }

  /** Gives every one of these, and all who hang on them, a chain of feeders; a parent more where there is none without. */
  #givePaths(peers: readonly Peer[]): void {
    const open: Peer[] = [];
    for (const peer of peers) if (this.#hasOtherWay(peer)) open.push(peer);
    this.#spread(open);
    for (const peer of peers) {
      // Whoever has a feeder by now was found to have a path a moment ago.
      if (!this.#needsPath(peer) || peer.feeder !== undefined) continue;
      if (!this.feed(peer)) {
        // A stock peer that has no path asks for other parents itself.
        if (!peer.host.isOwn) continue;
        if (!this.#takePath(peer)) {
          peer.task.pathless.add(peer);
          continue;
        }
        this.#roster.stale(peer);
      }
      this.#spread([peer]);
    }
  }

  /** Also who was told of parents that all proved useless since: it waits for nothing that would have it looked at. */
  #needsPath(peer: Peer): boolean {
    if (!peer.isActive || peer.isAnchor || peer.task.leases.isHeldBy(peer)) return false;
    return peer.parents.size > 0 || peer.isListening;
  }

  #hasOtherWay(peer: Peer): boolean {
    return this.#needsPath(peer) && this.feed(peer);
  }

  /** From those who have a path to those who get bytes from them and have none. */
  #spread(open: Peer[]): void {
    for (let index = 0; index < open.length; index++) {
      const peer = open[index];
      if (peer === undefined || !peer.isFeeding) continue;
      for (const child of peer.children) {
        if (child.feeder !== undefined || child.isAnchor || !child.isActive || !coversWish(peer, child)) continue;
        setFeeder(child, peer);
        child.task.pathless.delete(child);
        open.push(child);
      }
    }
  }

  /** Whether the chain from this parent reaches somebody who has all that the child wants, and not through the child. */
  #leadsFrom(parent: Peer, child: Peer): boolean {
    if (!coversWish(parent, child)) return false;
    let node: Peer | undefined = parent;
    for (let step = 0; node !== undefined && step < MAX_CHAIN; step++) {
      if (node === child || !node.isFeeding) return false;
      if (node.isSpring) return true;
      node = node.feeder;
    }
    return false;
  }

  /** One more parent, for the sake of the path that it has. */
  #takePath(child: Peer): boolean {
    const { task } = child;
    for (const parent of child.parents) {
      if (child.parents.size < this.#roster.options.ownCandidateParentLimit) break;
      child.removeParent(parent);
    }
    const isPossible = (parent: Peer): boolean => this.#leadsFrom(parent, child) && this.#link(child, parent, false);
    const { zone, pool } = child;
    const near = zone?.whole.open.sample(GATEWAY_SAMPLE, this.#random) ?? [];
    const alike = pool === zone?.whole ? [] : (pool?.open.sample(ALIKE_SAMPLE, this.#random) ?? []);
    const far = task.anchors.sample(GATEWAY_SAMPLE, this.#random);
    // Sources last, and then however many children they have: whoever is at the origin without a lease is no way to everything.
    const others = [...near, ...alike, ...far].filter(({ isSource }) => !isSource);
    for (const parent of [...others, ...task.sources]) {
      if (!isPossible(parent)) continue;
      setFeeder(child, parent);
      return true;
    }
    return false;
  }

  #electIn(task: Task, key: string): void {
    const zone = task.zones.get(key);
    if (zone !== undefined) this.#elect(zone);
  }

  /** Fills the places of gateways: those with the most bandwidth among a few. None where everything is in the zone already. */
  #elect(zone: Zone): void {
    const wanted = zone.copies > 0 || zone.members === 0 ? 0 : zone.members < SMALL_ZONE ? 1 : 2;
    if (zone.gateways.size >= wanted) return;
    const candidates = zone.whole.open
      .sample(GATEWAY_SAMPLE, this.#random)
      .filter((peer) => this.#isElectable(peer, zone));
    this.#shuffled(candidates)
      .toSorted((a, b) => (b.host.facts.uploadBitsPerSecond ?? 0) - (a.host.facts.uploadBitsPerSecond ?? 0))
      .slice(0, wanted - zone.gateways.size)
      .forEach((peer) => {
        if (peer.task.zones.size <= 1) return;
        zone.gateways.add(peer);
        this.#roster.stale(peer);
      });
  }

  #isElectable(peer: Peer, zone: Zone): boolean {
    return peer.host.isOwn && !peer.host.isSlow && peer.state !== 'Succeeded' && !zone.gateways.has(peer);
  }

  #shuffled<T>(items: readonly T[]): readonly T[] {
    const shuffled = [...items];
    for (let index = shuffled.length - 1; index > 0; index--) {
      const other = Math.floor(this.#random() * (index + 1));
      const [a, b] = [shuffled[index], shuffled[other]];
      if (a === undefined || b === undefined) continue;
      shuffled[index] = b;
      shuffled[other] = a;
    }
    return shuffled;
  }
}

/** Where to look for those who want much the same, the likeliest first. */
function* partsNear(zone: Zone, range: ByteRange, contentLength: number | undefined): Generator<Pool> {
  for (const place of placesNear(placeOf(range, contentLength))) {
    const pool = zone.part(place);
    if (pool !== undefined) yield pool;
  }
}

const depthOf = (peer: Peer): number => (peer.feeder === undefined ? 0 : peer.depth);

function setFeeder(child: Peer, feeder: Peer): void {
  child.feeder = feeder;
  child.depth = depthOf(feeder) + 1;
}

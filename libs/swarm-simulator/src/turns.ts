import type { PiecePicker } from '@d7y/swarm';
import { drawChild, TURN_RULES } from '@d7y/swarm';
import type { Clock } from './clock.ts';
import type { Edges } from './edges.ts';
import { SLOTS, SLOT_BITS } from './edges.ts';
import type { Ground } from './ground.ts';
import type { HostLinks } from './host-links.ts';
import type { Hosts } from './hosts.ts';
import type { LinkShares } from './link-shares.ts';
import type { Members } from './members.ts';
import { FETCHING } from './members.ts';
import { NONE } from './none.ts';
import type { Parts } from './parts.ts';
import type { Settings } from './settings.ts';
import { TICKS_PER_MS } from './ticks.ts';
import type { Transfers } from './transfers.ts';
import { DECLINED, HELD, OFFERED } from './transfers.ts';

/** A turn is taken so much later than would just do: two pieces that overlap slow each other down. */
const SAFETY_TICKS = 3;
const anybody = (): number => 0;

/** Turns of daemons of ours: whom a host offers its next one, and what the child makes of it. */
export class Turns {
  readonly #settings: Settings;
  readonly #random: () => number;
  readonly #isByTurns: boolean;
  readonly #hosts: Hosts;
  readonly #members: Members;
  readonly #edges: Edges;
  readonly #transfers: Transfers;
  readonly #links: HostLinks;
  readonly #shares: LinkShares;
  readonly #clock: Clock;
  readonly #parts: Parts;

  constructor(ground: Ground, parts: Parts) {
    this.#settings = ground.settings;
    this.#random = ground.random;
    this.#isByTurns = ground.isByTurns;
    this.#hosts = ground.hosts;
    this.#members = ground.members;
    this.#edges = ground.edges;
    this.#transfers = ground.transfers;
    this.#links = ground.links;
    this.#shares = ground.shares;
    this.#clock = ground.clock;
    this.#parts = parts;
  }

  /** Parents hear, later, whether the host takes offers. */
  noteOpenness(host: number): void {
    if (!this.#isByTurns || !this.#links.sayOpenness(host, this.#clock.tick)) return;
    for (let member = host; member < this.#members.count; member += this.#hosts.count)
      this.#parts.choosing.choose(member);
  }

  /** Tells the parent in this slot, if it has a turn to give, that its child would take it. */
  seekTurn(member: number, slot: number, picker: PiecePicker): void {
    const parent = this.#edges.parent[(member << SLOT_BITS) + slot];
    if (parent === NONE) return;
    const host = this.#members.hostOf(parent);
    if (!this.#links.hasTurn(host, this.#clock.tick)) return;
    const tick = this.#clock.tick + this.#hosts.latency(host, this.#members.hostOf(member));
    if (this.#clock.turns.isSet(host) && this.#clock.turns.tickOf(host) <= tick) return;
    if (picker.hasFor(slot, this.#members.wantedBy(member))) this.#clock.turns.set(host, tick);
  }

  offerTurn(host: number): void {
    if (!this.#isByTurns || !this.#links.hasTurn(host, this.#clock.tick)) return;
    const edge = this.#drawChild(host);
    if (edge === NONE) return;
    const transfer = this.#transfers.newTransfer(edge >> SLOT_BITS, edge & (SLOTS - 1));
    this.#transfers.phase[transfer] = OFFERED;
    this.#links.promise(host, 1);
    this.#parts.sending.travel(transfer);
  }

  /**
   * A child that, as far as is known here, receives nothing and lacks something that this host has; any of them. Who has pieces that nobody
   * else has does not wait for such a child.
   */
  #drawChild(host: number): number {
    const { tasks } = this.#settings;
    for (let isFresh = 0; isFresh < 2; isFresh++) {
      const firstTask = tasks === 1 ? 0 : Math.floor(this.#random() * tasks);
      for (let turn = 0; turn < tasks; turn++) {
        const member = ((firstTask + turn) % tasks) * this.#hosts.count + host;
        if (this.#members.isSteered[member] < isFresh) continue;
        const told = this.#members.isSteered[member] === 1 ? this.#members.toldEdges.get(member) : undefined;
        const edge = drawChild(
          told === undefined ? this.#edges.children.of(member) : [...told],
          isFresh === 1 ? anybody : (child) => this.#rankOf(child, host),
          (child) => this.#mayBeOffered(child, host),
          this.#random,
        );
        if (edge !== undefined) return edge;
      }
    }
    return NONE;
  }

  /** Who receives nothing comes before who soon will: what was nearly over when it said that it is open is over after a lead. */
  #rankOf(edge: number, host: number): number {
    const childHost = this.#members.hostOf(edge >> SLOT_BITS);
    const openTicks = this.#links.openFor(childHost, this.#clock.tick - this.#hosts.latency(host, childHost));
    if (openTicks < 0) return Infinity;
    return openTicks >= this.#hosts.leadTicks(host, childHost) ? 0 : 1;
  }

  #mayBeOffered(edge: number, host: number): boolean {
    const child = edge >> SLOT_BITS;
    if (this.#members.state[child] !== FETCHING) return false;
    // Who was told of something may have left since, and its place been taken.
    const parent = this.#edges.parent[edge];
    if (parent === NONE || this.#members.hostOf(parent) !== host) return false;
    const hasSome = this.#members.pickers[child]?.hasFor(edge & (SLOTS - 1), this.#members.wantedBy(child)) === true;
    return hasSome && this.#transfers.hasLane(child);
  }

  /** The offer of a turn has arrived: the child holds on to it, or declines at once. */
  answerOffer(transfer: number): void {
    const member = this.#transfers.child[transfer];
    const host = this.#members.hostOf(member);
    const picker = this.#members.pickers[member];
    if (picker !== undefined && this.#members.state[member] === FETCHING && this.#mayTake(transfer, host)) {
      this.#parts.hearsay.listen(member, picker);
      if (picker.hasFor(this.#transfers.slot[transfer], this.#members.wantedBy(member))) {
        this.#transfers.phase[transfer] = HELD;
        this.#links.expect(host, 1);
        this.noteOpenness(host);
        return this.takeInTime(transfer);
      }
    }
    this.#transfers.phase[transfer] = DECLINED;
    this.#parts.sending.travel(transfer);
  }

  #mayTake(transfer: number, host: number): boolean {
    this.#transfers.isBeside[transfer] = 0;
    if (this.#links.isOpen(host, this.#clock.tick)) return true;
    const parent = this.#transfers.parent[transfer];
    if (this.#members.isSteered[parent] === 0) return false;
    const lastsMs = this.#shares.downloadsEndIn(host, this.#clock.tick) / TICKS_PER_MS;
    const inMs = this.#shares.uploadEndsIn(this.#members.hostOf(parent), this.#clock.tick) / TICKS_PER_MS;
    this.#transfers.isBeside[transfer] = lastsMs > inMs + TURN_RULES.sourceSlackMs ? 1 : 0;
    return this.#links.mayTakeFromSource(host, this.#clock.tick, lastsMs, inMs);
  }

  /** Takes the turn so that its piece follows what is coming without a gap, and chooses the piece then. */
  takeInTime(transfer: number): void {
    const member = this.#transfers.child[transfer];
    const host = this.#members.hostOf(member);
    if (this.#transfers.isBeside[transfer] === 0) {
      const latency = this.#hosts.latency(host, this.#members.hostOf(this.#transfers.parent[transfer]));
      const waitTicks = this.#shares.downloadEndsIn(host, this.#clock.tick) + SAFETY_TICKS - latency;
      if (waitTicks > 1) return this.#transfers.events.set(transfer, this.#clock.tick + waitTicks);
    }
    const picker = this.#members.pickers[member];
    let piece = NONE;
    if (picker !== undefined) {
      this.#parts.hearsay.listen(member, picker);
      piece = picker.pickFrom(this.#transfers.slot[transfer], this.#members.ruleOf(member));
    }
    this.#links.expect(host, -1);
    if (piece >= 0) return this.#parts.sending.take(transfer, piece);
    this.#transfers.phase[transfer] = DECLINED;
    this.noteOpenness(host);
    this.#parts.sending.travel(transfer);
  }
}

import type { OfferedParent } from '@d7y/swarm';
import { PiecePicker } from '@d7y/swarm';
import type { Clock } from './clock.ts';
import type { Edges } from './edges.ts';
import { SLOTS } from './edges.ts';
import type { Ground } from './ground.ts';
import type { Hosts } from './hosts.ts';
import type { Mailbox } from './mailbox.ts';
import type { Members } from './members.ts';
import { AT_ORIGIN, DONE, FETCHING, IDLE, WAITING } from './members.ts';
import { NONE } from './none.ts';
import type { Parts } from './parts.ts';
import { TICKS_PER_MS } from './ticks.ts';
import type { Transfers } from './transfers.ts';
import { FREE } from './transfers.ts';

const SAME_ZONE_WEIGHT = 4;
/** Fallbacks are asked when nothing was under way for so long. */
const FALLBACK_AFTER_MS = 1000;

/** Who is whose parent: offers of the scheduler, connections that break, and when fallbacks are called. */
export class Neighbours {
  readonly #random: () => number;
  readonly #isMesh: boolean;
  readonly #isByTurns: boolean;
  readonly #hosts: Hosts;
  readonly #members: Members;
  readonly #edges: Edges;
  readonly #transfers: Transfers;
  readonly #clock: Clock;
  readonly #mail: Mailbox;
  readonly #parts: Parts;

  constructor(ground: Ground, parts: Parts) {
    this.#random = ground.random;
    this.#isMesh = ground.isMesh;
    this.#isByTurns = ground.isByTurns;
    this.#hosts = ground.hosts;
    this.#members = ground.members;
    this.#edges = ground.edges;
    this.#transfers = ground.transfers;
    this.#clock = ground.clock;
    this.#mail = ground.mail;
    this.#parts = parts;
  }

  offered(member: number, parents: readonly OfferedParent[]): void {
    const state = this.#members.state[member];
    if (state === DONE || state === AT_ORIGIN || state === IDLE) return;
    if (state === WAITING) {
      this.#members.lastPieceTick[member] = this.#clock.tick;
      this.#members.state[member] = FETCHING;
    }
    if (this.#members.isRegistering[member] === 1) this.#mail.tell('started', member);
    this.#members.isRegistering[member] = 0;
    this.#members.pickers[member] ??= new PiecePicker(this.#members.pieces, {
      random: this.#random,
      slots: this.#isMesh ? SLOTS : 4,
    });
    for (const { peerId, role } of parents) {
      const parent = Number(peerId.slice(1));
      if (this.#hosts.isAlive[this.#members.hostOf(parent)] === 1) this.#join(member, parent, role === 'fallback');
    }
    this.#parts.choosing.choose(member);
  }

  #join(member: number, parent: number, isFallback: boolean): void {
    const picker = this.#members.pickers[member];
    if (picker === undefined) return;
    let used = 0;
    for (let slot = 0; slot < SLOTS; slot++) {
      const other = this.#edges.parent[member * SLOTS + slot];
      if (other === parent) return;
      if (other !== NONE) used++;
    }
    if (used === SLOTS) return;
    const isNear =
      this.#hosts.isZoned &&
      this.#hosts.zoneOf[this.#members.hostOf(member)] === this.#hosts.zoneOf[this.#members.hostOf(parent)];
    const slot = picker.addParent(isNear ? SAME_ZONE_WEIGHT : 1);
    const edge = member * SLOTS + slot;
    const latency = this.#hosts.latency(this.#members.hostOf(member), this.#members.hostOf(parent));
    this.#edges.parent[edge] = parent;
    this.#edges.rate[edge] = 0;
    if (isFallback) {
      picker.setUsable(slot, false);
      this.#members.fallbacks[member] |= 1 << slot;
    }
    this.#edges.cursor[edge] = 0;
    this.#members.news[member] |= 1 << slot;
    // The question travels, then the answer.
    this.#edges.ready[edge] = this.#clock.tick + 2 * latency;
    this.#edges.children.add(parent, edge);
    const steering = this.#members.steering[parent];
    if (steering !== undefined && this.#members.isSteered[parent] === 1)
      this.#parts.hearsay.reveal(parent, steering.childJoined(edge, this.#clock.nowMs, this.#members.interestOf(edge)));
    else this.#clock.wakeAt(member, this.#edges.ready[edge]);
  }

  leave(member: number, slot: number): void {
    const edge = member * SLOTS + slot;
    const parent = this.#edges.parent[edge];
    if (parent === NONE) return;
    this.#edges.parent[edge] = NONE;
    this.#members.news[member] &= ~(1 << slot);
    this.#members.fallbacks[member] &= ~(1 << slot);
    this.#members.calledFallbacks[member] &= ~(1 << slot);
    this.#edges.children.remove(parent, edge);
    const steering = this.#members.steering[parent];
    if (steering !== undefined && this.#members.isSteered[parent] === 1)
      this.#parts.hearsay.reveal(parent, steering.childLeft(edge, this.#clock.nowMs));
    for (let transfer = member; transfer < this.#transfers.end; transfer += this.#transfers.stride) {
      if (this.#transfers.phase[transfer] === FREE) continue;
      if (this.#transfers.parent[transfer] === parent && this.#transfers.slot[transfer] === slot)
        this.#parts.sending.abandon(transfer);
    }
    this.#members.pickers[member]?.removeParent(slot);
  }

  /** Asks fallbacks as well when nothing has been under way for a while. @returns when that will be */
  considerFallbacks(member: number, picker: PiecePicker): number {
    if (this.#members.fallbacks[member] === 0) return Infinity;
    if (this.#members.outstanding[member] > 0) {
      this.#members.idleSinceTick[member] = Infinity;
      return Infinity;
    }
    if (this.#members.idleSinceTick[member] === Infinity) this.#members.idleSinceTick[member] = this.#clock.tick;
    const dueTick = this.#members.idleSinceTick[member] + FALLBACK_AFTER_MS * TICKS_PER_MS;
    if (this.#clock.tick < dueTick) return dueTick;
    this.#members.calledFallbacks[member] |= this.#members.fallbacks[member];
    this.#members.fallbacks[member] = 0;
    this.setFallbacksUsable(member, picker, this.#isByTurns);
    return Infinity;
  }

  setFallbacksUsable(member: number, picker: PiecePicker, isUsable: boolean): void {
    for (let rest = this.#members.calledFallbacks[member]; rest !== 0; rest &= rest - 1)
      picker.setUsable(31 - Math.clz32(rest & -rest), isUsable);
  }

  parentGone(member: number, slot: number): void {
    const parent = this.#edges.parent[member * SLOTS + slot];
    if (parent === NONE || this.#hosts.isAlive[this.#members.hostOf(parent)] === 1) return;
    this.leave(member, slot);
    // What was coming from there does not any more.
    this.#parts.turns.noteOpenness(this.#members.hostOf(member));
    this.#mail.tell('parentFailed', member, parent);
    let parents = 0;
    for (let other = 0; other < SLOTS; other++) if (this.#edges.parent[member * SLOTS + other] !== NONE) parents++;
    if (parents === 0) this.#mail.tell('reschedule', member);
    else this.#parts.choosing.choose(member);
  }
}

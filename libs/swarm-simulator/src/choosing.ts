import type { PickedPiece, PiecePicker } from '@d7y/swarm';
import type { Clock } from './clock.ts';
import type { Edges } from './edges.ts';
import { ALL_SLOTS, SLOTS, SLOT_BITS } from './edges.ts';
import type { Ground } from './ground.ts';
import type { HostLinks } from './host-links.ts';
import type { Hosts } from './hosts.ts';
import type { LinkShares } from './link-shares.ts';
import type { Members } from './members.ts';
import { DONE, FETCHING } from './members.ts';
import { NONE } from './none.ts';
import type { Tally } from './outcome.ts';
import type { Parts } from './parts.ts';
import type { Settings } from './settings.ts';
import { TICKS_PER_MS } from './ticks.ts';
import type { Transfers } from './transfers.ts';
import { ASKED, BOOKED, DROPPED, MAX_HEDGES, QUEUED, SENDING } from './transfers.ts';

/** A piece that takes so many times as long as others, and so many ms more, is asked of somebody else as well; and at the end. */
const PATIENCE = [4, 500] as const;
const ENDGAME_PATIENCE = [2, 50] as const;
/** In any case when nothing came of it for so long. */
const SILENCE_MS = 1_500;
const HEDGE_CHECK_MS = 50;
const MAX_PER_PARENT_HEDGED = 8;
/** How much a new measurement of a rate counts, and how far it makes a parent count more or less. */
const RATE_SMOOTHING = 0.3;
const RATE_BOUNDS = [0.1, 4] as const;
const SAME_ZONE_WEIGHT = 4;
const ANYTHING = { isNews: false };

/** Which pieces a member asks for, of whom, and when somebody else is asked as well. */
export class Choosing {
  readonly #settings: Settings;
  readonly #isMesh: boolean;
  readonly #isByTurns: boolean;
  readonly #hosts: Hosts;
  readonly #members: Members;
  readonly #edges: Edges;
  readonly #transfers: Transfers;
  readonly #links: HostLinks;
  readonly #shares: LinkShares;
  readonly #clock: Clock;
  readonly #tally: Tally;
  readonly #parts: Parts;

  constructor(ground: Ground, parts: Parts) {
    this.#settings = ground.settings;
    this.#isMesh = ground.isMesh;
    this.#isByTurns = ground.isByTurns;
    this.#hosts = ground.hosts;
    this.#members = ground.members;
    this.#edges = ground.edges;
    this.#transfers = ground.transfers;
    this.#links = ground.links;
    this.#shares = ground.shares;
    this.#clock = ground.clock;
    this.#tally = ground.tally;
    this.#parts = parts;
  }

  /** Asks for as many pieces as the rules allow. @param isNews whether that is all that has changed: what parents said */
  choose(member: number, { isNews }: { readonly isNews: boolean } = ANYTHING): void {
    const picker = this.#members.pickers[member];
    if (this.#members.state[member] !== FETCHING || picker === undefined) return;
    if (this.#isByTurns) {
      const host = this.#members.hostOf(member);
      this.#parts.turns.noteOpenness(host);
      const isHungry = this.#links.saidOpen(host);
      this.#members.setHungry(member, isHungry);
      if (!isHungry) {
        const slowTick = this.#links.slowTick(host);
        if (slowTick < Infinity) this.#clock.wakeAt(member, Math.max(slowTick, this.#clock.tick + 1));
        return;
      }
    }
    const unread = this.#members.news[member] & ALL_SLOTS;
    const nextTick = Math.min(
      this.#parts.hearsay.listen(member, picker),
      this.#parts.parents.considerFallbacks(member, picker),
      this.#parts.origin.considerOrigin(member),
    );
    if (this.#isByTurns) {
      const hedges = this.#tally.hedges;
      const wakeTick = Math.min(nextTick, this.#hedge(member, picker));
      const isNarrow = isNews && hedges === this.#tally.hedges;
      for (let rest = isNarrow ? unread : ALL_SLOTS; rest !== 0; rest &= rest - 1)
        this.#parts.turns.seekTurn(member, 31 - Math.clz32(rest & -rest), picker);
      if (wakeTick < Infinity) this.#clock.wakeAt(member, Math.max(wakeTick, this.#clock.tick + 1));
      return;
    }
    let wakeTick = nextTick;
    while (this.#members.outstanding[member] < this.#transfers.concurrency) {
      if (this.#isMesh) {
        const picked = this.#pick(member, picker);
        if (picked === undefined) break;
        this.request(member, picked.slot, picked.pieceNumber);
      } else {
        const tick = this.#parts.stock.chooseStock(member, picker);
        wakeTick = Math.min(wakeTick, tick);
        if (tick !== -1) break;
        wakeTick = nextTick;
      }
    }
    this.#members.setHungry(member, this.#members.outstanding[member] < this.#transfers.concurrency);
    if (this.#isMesh) wakeTick = Math.min(wakeTick, this.#hedge(member, picker));
    if (wakeTick < Infinity) this.#clock.wakeAt(member, Math.max(wakeTick, this.#clock.tick + 1));
  }

  /** Neighbours first, then those who are there for what these do not bring. */
  #pick(member: number, picker: PiecePicker): PickedPiece | undefined {
    const { maxPerParent, maxPerPartialParent } = this.#settings.daemon;
    const rule = { ...this.#members.ruleOf(member), maxPerParent: maxPerPartialParent };
    const limit = maxPerParent > maxPerPartialParent && this.#hasCompleteParent(member) ? maxPerParent : undefined;
    const picked = picker.pick(rule) ?? (limit === undefined ? undefined : this.#pickComplete(member, picker, limit));
    if (picked !== undefined || this.#members.calledFallbacks[member] === 0) return picked;
    this.#parts.parents.setFallbacksUsable(member, picker, true);
    const second = picker.pick(rule);
    this.#parts.parents.setFallbacksUsable(member, picker, false);
    return second;
  }

  #isComplete(parent: number): boolean {
    return this.#members.state[parent] === DONE || this.#members.logCount[parent] === this.#members.pieces;
  }

  #hasCompleteParent(member: number): boolean {
    for (let slot = 0; slot < SLOTS; slot++) {
      const parent = this.#edges.parent[(member << SLOT_BITS) + slot];
      if (parent !== NONE && this.#isComplete(parent)) return true;
    }
    return false;
  }

  /** A parent that has everything is asked for more at a time. */
  #pickComplete(member: number, picker: PiecePicker, limit: number): PickedPiece | undefined {
    for (let slot = 0; slot < SLOTS; slot++) {
      const parent = this.#edges.parent[(member << SLOT_BITS) + slot];
      if (parent === NONE || !this.#isComplete(parent) || picker.inFlight(slot) >= limit) continue;
      const pieceNumber = picker.pickFrom(slot, this.#members.ruleOf(member));
      if (pieceNumber >= 0) return { pieceNumber, slot };
    }
    return undefined;
  }

  /** Has somebody else asked as well for what takes several times as long as pieces do. @returns when to look again */
  #hedge(member: number, picker: PiecePicker): number {
    if (this.#members.outstanding[member] === 0 || this.#members.typicalRate[member] === 0) return Infinity;
    const isEndgame = this.#members.isAllAsked(member);
    const typicalTicks = this.#isByTurns
      ? this.#links.typicalDownload(this.#members.hostOf(member))
      : this.#settings.pieceBytes / this.#members.typicalRate[member];
    const [times, graceMs] = isEndgame ? ENDGAME_PATIENCE : PATIENCE;
    const patience = Math.min(typicalTicks * times + graceMs * TICKS_PER_MS, SILENCE_MS * TICKS_PER_MS);
    let nextTick = Infinity;
    for (let transfer = member; transfer < this.#transfers.end; transfer += this.#transfers.stride) {
      const phase = this.#transfers.phase[transfer];
      if (phase !== ASKED && phase !== QUEUED && phase !== BOOKED && phase !== SENDING && phase !== DROPPED) continue;
      if (this.#transfers.parent[transfer] === NONE || this.#transfers.isHedged[transfer] === 1) continue;
      if (this.#clock.tick - this.#transfers.askedTick[transfer] < patience) {
        nextTick = Math.min(nextTick, this.#transfers.askedTick[transfer] + patience);
        continue;
      }
      const leftTicks = phase === SENDING ? this.#shares.remainingTicks(transfer, this.#clock.tick) : Infinity;
      if (leftTicks <= patience) continue;
      if (this.#isByTurns) {
        if (this.#transfers.hedgesOf(member) >= MAX_HEDGES) continue;
        // Whoever has a turn to give may bring it.
        this.#transfers.isHedged[transfer] = 1;
        this.#tally.hedges++;
        this.#members.wish(member, this.#transfers.piece[transfer]);
        continue;
      }
      if (this.#members.outstanding[member] >= this.#transfers.lanes) continue;
      const piece = this.#transfers.piece[transfer];
      const slot = picker.pickHolder(
        piece,
        MAX_PER_PARENT_HEDGED,
        (candidate) => candidate === this.#transfers.slot[transfer],
      );
      if (slot < 0) {
        nextTick = Math.min(nextTick, this.#clock.tick + HEDGE_CHECK_MS * TICKS_PER_MS);
        continue;
      }
      this.#transfers.isHedged[transfer] = 1;
      this.#tally.hedges++;
      this.request(member, slot, piece);
    }
    return nextTick;
  }

  /** Notes what a transfer brought, and lets parents count accordingly. */
  measure(transfer: number): void {
    const member = this.#transfers.child[transfer];
    const edge = (member << SLOT_BITS) + this.#transfers.slot[transfer];
    if (this.#edges.parent[edge] !== this.#transfers.parent[transfer]) return;
    const rate = this.#settings.pieceBytes / Math.max(this.#clock.tick - this.#transfers.askedTick[transfer], 1);
    const smoothed = (before: number): number => (before === 0 ? rate : before + RATE_SMOOTHING * (rate - before));
    const typical = (this.#members.typicalRate[member] = smoothed(this.#members.typicalRate[member]));
    const own = (this.#edges.rate[edge] = smoothed(this.#edges.rate[edge]));
    if (this.#isByTurns) return;
    const { latencyMs } = this.#settings;
    const isNear =
      this.#hosts.isZoned &&
      this.#hosts.latency(this.#members.hostOf(member), this.#members.hostOf(this.#transfers.parent[transfer])) <=
        latencyMs * TICKS_PER_MS;
    const [least, most] = RATE_BOUNDS;
    const factor = Math.min(Math.max(own / typical, least), most);
    this.#members.pickers[member]?.setWeight(this.#transfers.slot[transfer], factor * (isNear ? SAME_ZONE_WEIGHT : 1));
  }

  request(member: number, slot: number, piece: number): void {
    const transfer = this.#transfers.newTransfer(member, slot);
    if (transfer === NONE) return;
    this.#parts.sending.take(transfer, piece);
  }
}

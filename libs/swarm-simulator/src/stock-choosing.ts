import type { PiecePicker } from '@d7y/swarm';
import type { Clock } from './clock.ts';
import type { Edges } from './edges.ts';
import { SLOTS, SLOT_BITS } from './edges.ts';
import type { Ground } from './ground.ts';
import type { Hosts } from './hosts.ts';
import type { LinkShares } from './link-shares.ts';
import type { Members } from './members.ts';
import { NONE } from './none.ts';
import type { Parts } from './parts.ts';
import type { Settings } from './settings.ts';
import { TICKS_PER_MS } from './ticks.ts';

/** As stock daemons choose: pieces in the order in which they were taken up, the parent by its idle bandwidth. */
export class StockChoosing {
  readonly #settings: Settings;
  readonly #random: () => number;
  readonly #hosts: Hosts;
  readonly #members: Members;
  readonly #edges: Edges;
  readonly #shares: LinkShares;
  readonly #clock: Clock;
  readonly #parts: Parts;

  constructor(ground: Ground, parts: Parts) {
    this.#settings = ground.settings;
    this.#random = ground.random;
    this.#hosts = ground.hosts;
    this.#members = ground.members;
    this.#edges = ground.edges;
    this.#shares = ground.shares;
    this.#clock = ground.clock;
    this.#parts = parts;
  }

  /** A stock daemon takes a piece up once all of its parents have it, or a while after the first one. */
  collect(member: number, picker: PiecePicker, piece: number): void {
    const at = member * this.#members.pieces + piece;
    if (this.#members.readyTick[at] === 0)
      this.#members.readyTick[at] = this.#clock.tick + this.#settings.stock.collectMs * TICKS_PER_MS;
    let parents = 0;
    for (let slot = 0; slot < SLOTS; slot++) if (this.#edges.parent[(member << SLOT_BITS) + slot] !== NONE) parents++;
    if (picker.holdersOf(piece) >= parents)
      this.#members.readyTick[at] = Math.min(this.#members.readyTick[at], this.#clock.tick);
  }

  /** As stock daemons choose: pieces in the order in which they were taken up, the parent by its idle bandwidth. @returns -1 when it asked, else when to try again */
  chooseStock(member: number, picker: PiecePicker): number {
    const isAnyOrder = this.#settings.stock.order === 'random';
    let soonest = Infinity;
    let chosen = NONE;
    let ready = 0;
    for (let word = 0; word < this.#members.words; word++) {
      for (let rest = this.#members.wanted[member * this.#members.words + word]; rest !== 0; rest &= rest - 1) {
        const piece = word * 32 + 31 - Math.clz32(rest & -rest);
        const readyTick = this.#members.readyTick[member * this.#members.pieces + piece];
        if (readyTick === 0 || picker.holdersOf(piece) === 0) continue;
        if (isAnyOrder && readyTick <= this.#clock.tick) {
          soonest = readyTick;
          if (this.#random() * ++ready < 1) chosen = piece;
        } else if (readyTick < soonest) {
          soonest = readyTick;
          chosen = piece;
        }
      }
    }
    if (chosen === NONE || soonest > this.#clock.tick) return soonest;
    this.#parts.choosing.request(member, this.#drawParent(member, picker, chosen), chosen);
    return -1;
  }

  #drawParent(member: number, picker: PiecePicker, piece: number): number {
    let sum = 0;
    let drawn = NONE;
    for (let slot = 0; slot < SLOTS; slot++) {
      const parent = this.#edges.parent[member * SLOTS + slot];
      if (parent === NONE || !picker.has(slot, piece)) continue;
      const rate = this.#hosts.rateOf[this.#members.hostOf(parent)];
      const weight = Math.max(rate - this.#shares.uploadRate(this.#members.hostOf(parent)), rate / 10);
      sum += weight;
      if (this.#random() * sum < weight) drawn = slot;
    }
    return drawn;
  }
}

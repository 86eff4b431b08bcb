import type { PiecePicker, Reveal } from '@d7y/swarm';
import type { Clock } from './clock.ts';
import type { Edges } from './edges.ts';
import { ALL_SLOTS, SLOTS, SLOT_BITS } from './edges.ts';
import type { Ground } from './ground.ts';
import type { Hosts } from './hosts.ts';
import type { Mailbox } from './mailbox.ts';
import type { Members } from './members.ts';
import { IS_HUNGRY, PIECE_MASK, PIECE_NUMBERS } from './members.ts';
import { NONE } from './none.ts';
import type { Parts } from './parts.ts';
import { TICKS_PER_MS } from './ticks.ts';

/** What members know of each other's pieces: a child reads its parents' logs as far as word can have reached it, and those who steer tell each child of its own pieces. */
export class Hearsay {
  readonly #isMesh: boolean;
  readonly #isByTurns: boolean;
  readonly #hosts: Hosts;
  readonly #members: Members;
  readonly #edges: Edges;
  readonly #clock: Clock;
  readonly #mail: Mailbox;
  readonly #parts: Parts;

  constructor(ground: Ground, parts: Parts) {
    this.#isMesh = ground.isMesh;
    this.#isByTurns = ground.isByTurns;
    this.#hosts = ground.hosts;
    this.#members = ground.members;
    this.#edges = ground.edges;
    this.#clock = ground.clock;
    this.#mail = ground.mail;
    this.#parts = parts;
  }

  /** Tells children of pieces, each of its own. */
  reveal(holder: number, reveals: readonly Reveal<number>[]): void {
    const steering = this.#members.steering[holder];
    if (steering?.isDone === true) return this.#openToAll(holder);
    for (const { child: edge, pieces } of reveals) {
      const member = edge >> SLOT_BITS;
      const latencyMs = this.#hosts.latency(this.#members.hostOf(holder), this.#members.hostOf(member)) / TICKS_PER_MS;
      const delayMs = Math.max(latencyMs, (this.#edges.ready[edge] - this.#clock.tick) / TICKS_PER_MS);
      this.#members.toldEdges.get(holder)?.add(edge);
      for (const piece of pieces) this.#mail.post('revealed', member, delayMs, (edge & (SLOTS - 1)) * 65536 + piece);
    }
  }

  /** Others have everything: from now on every child reads the log. */
  #openToAll(holder: number): void {
    if (this.#members.isSteered[holder] === 0) return;
    this.#members.isSteered[holder] = 0;
    this.#members.toldEdges.delete(holder);
    for (const edge of this.#edges.children.of(holder)) {
      const member = edge >> SLOT_BITS;
      const heardTick =
        this.#clock.tick + this.#hosts.latency(this.#members.hostOf(holder), this.#members.hostOf(member));
      this.#edges.ready[edge] = Math.max(this.#edges.ready[edge], heardTick);
      this.#clock.wakeAt(member, this.#edges.ready[edge]);
    }
  }

  learnRevealed(member: number, slot: number, piece: number): void {
    if (this.#edges.parent[member * SLOTS + slot] === NONE) return;
    // A fresh piece is taken beside whatever is coming.
    const picker = this.#members.pickers[member];
    if (picker?.announced(slot, piece) !== true) return;
    if (this.#isByTurns) this.#parts.turns.seekTurn(member, slot, picker);
    else if ((this.#members.news[member] & IS_HUNGRY) !== 0) this.#parts.choosing.choose(member);
  }

  /** Reads what parents have said by now. @returns the tick at which the next word of theirs that is on its way arrives */
  listen(member: number, picker: PiecePicker): number {
    let nextTick = Infinity;
    for (let rest = this.#members.news[member] & ALL_SLOTS; rest !== 0; rest &= rest - 1) {
      const slot = 31 - Math.clz32(rest & -rest);
      const edge = (member << SLOT_BITS) + slot;
      if (this.#edges.ready[edge] > this.#clock.tick) {
        nextTick = Math.min(nextTick, this.#edges.ready[edge]);
        continue;
      }
      const parent = this.#edges.parent[edge];
      if (this.#members.isSteered[parent] === 1) continue;
      const latency = this.#hosts.isZoned
        ? this.#hosts.latency(this.#members.hostOf(member), this.#members.hostOf(parent))
        : this.#hosts.latencyTicks;
      let at = parent * (this.#members.pieces + 1) + this.#edges.cursor[edge];
      // What was logged before this has been heard of.
      const unheard = (this.#clock.tick - latency + 1) * PIECE_NUMBERS;
      let logged = this.#members.log[at];
      for (; logged < unheard; logged = this.#members.log[++at]) {
        const piece = logged & PIECE_MASK;
        picker.announced(slot, piece);
        if (!this.#isMesh) this.#parts.stock.collect(member, picker, piece);
      }
      this.#edges.cursor[edge] = at - parent * (this.#members.pieces + 1);
      if (logged === Infinity) this.#members.news[member] &= ~(1 << slot);
      else nextTick = Math.min(nextTick, Math.floor(logged / PIECE_NUMBERS) + latency);
    }
    return nextTick;
  }

  /** Children have something to read, and those that wait for news wake when the word has reached them. */
  spread(member: number, piece: number): void {
    const isSilent = this.#members.isSteered[member] === 1;
    const host = this.#members.hostOf(member);
    for (const edge of this.#edges.children.of(member)) {
      const child = edge >> SLOT_BITS;
      const news = (this.#members.news[child] |= 1 << (edge & (SLOTS - 1)));
      if (!isSilent && (news & IS_HUNGRY) !== 0 && this.#members.isWanted(child, piece))
        this.#clock.wakeAt(child, this.#clock.tick + this.#hosts.latency(host, this.#members.hostOf(child)));
    }
  }
}

import { TURN_RULES } from '@d7y/swarm';
import type { Clock } from './clock.ts';
import { SLOTS } from './edges.ts';
import type { Ground } from './ground.ts';
import type { HostLinks } from './host-links.ts';
import type { Hosts } from './hosts.ts';
import type { LinkShares } from './link-shares.ts';
import type { Mailbox } from './mailbox.ts';
import type { Members } from './members.ts';
import { DONE } from './members.ts';
import { NONE } from './none.ts';
import type { Tally } from './outcome.ts';
import type { Parts } from './parts.ts';
import type { Settings } from './settings.ts';
import { TICKS_PER_MS } from './ticks.ts';
import type { Transfers } from './transfers.ts';
import {
  ASKED,
  BOOKED,
  DECLINED,
  DROPPED,
  ENDING,
  FREE,
  HELD,
  LANDING,
  NO_PIECE,
  OFFERED,
  QUEUED,
  SENDING,
} from './transfers.ts';
import type { UploadQueue } from './upload-queue.ts';

/** What becomes of a piece that was asked for, from the request to its place in the log. */
export class Sending {
  readonly #settings: Settings;
  readonly #isMesh: boolean;
  readonly #isByTurns: boolean;
  readonly #uploadSlots: number;
  readonly #hosts: Hosts;
  readonly #members: Members;
  readonly #transfers: Transfers;
  readonly #queue: UploadQueue;
  readonly #links: HostLinks;
  readonly #shares: LinkShares;
  readonly #clock: Clock;
  readonly #mail: Mailbox;
  readonly #tally: Tally;
  readonly #parts: Parts;

  constructor(ground: Ground, parts: Parts) {
    this.#settings = ground.settings;
    this.#isMesh = ground.isMesh;
    this.#isByTurns = ground.isByTurns;
    this.#uploadSlots = ground.uploadSlots;
    this.#hosts = ground.hosts;
    this.#members = ground.members;
    this.#transfers = ground.transfers;
    this.#queue = ground.queue;
    this.#links = ground.links;
    this.#shares = ground.shares;
    this.#clock = ground.clock;
    this.#mail = ground.mail;
    this.#tally = ground.tally;
    this.#parts = parts;
  }

  /** The child asks for this piece. */
  take(transfer: number, piece: number): void {
    const member = this.#transfers.child[transfer];
    this.#members.unwish(member, piece);
    this.#transfers.phase[transfer] = ASKED;
    this.#transfers.piece[transfer] = piece;
    this.#transfers.askedTick[transfer] = this.#clock.tick;
    this.#members.outstanding[member]++;
    this.#members.pickers[member]?.begun(this.#transfers.slot[transfer]);
    this.#links.expect(this.#members.hostOf(member), 1);
    this.travel(transfer);
  }

  /** Word of the transfer is on its way from one end to the other. */
  travel(transfer: number): void {
    const latency = this.#hosts.latency(
      this.#members.hostOf(this.#transfers.child[transfer]),
      this.#members.hostOf(this.#transfers.parent[transfer]),
    );
    this.#transfers.events.set(transfer, this.#clock.tick + latency);
  }

  move(transfer: number): void {
    switch (this.#transfers.phase[transfer]) {
      case OFFERED:
        return this.#parts.turns.answerOffer(transfer);
      case DECLINED: {
        const host = this.#members.hostOf(this.#transfers.parent[transfer]);
        this.#release(transfer);
        return this.#parts.turns.offerTurn(host);
      }
      case ASKED:
        return this.#asked(transfer);
      case HELD:
        return this.#parts.turns.takeInTime(transfer);
      case BOOKED:
        return this.#begin(transfer);
      case SENDING:
        return this.#isByTurns && this.#transfers.parent[transfer] !== NONE
          ? this.#ending(transfer)
          : this.#sent(transfer);
      case ENDING:
        return this.#sent(transfer);
      case LANDING:
        return this.#landed(transfer);
      default:
        return;
    }
  }

  /** The request has reached the parent. */
  #asked(transfer: number): void {
    const parent = this.#transfers.parent[transfer];
    const host = this.#members.hostOf(parent);
    this.#members.steering[parent]?.pieceAsked(
      this.#transfers.child[transfer] * SLOTS + this.#transfers.slot[transfer],
      this.#transfers.piece[transfer],
      this.#clock.nowMs,
    );
    if (this.#isByTurns) return this.#begin(transfer);
    this.#queue.enqueue(host, transfer);
    this.serveNext(host);
  }

  /** Begins a turn that was taken as soon as the uplink is free. */
  #begin(transfer: number): void {
    this.#transfers.phase[transfer] = BOOKED;
    const waitTicks = this.#shares.uploadEndsIn(
      this.#members.hostOf(this.#transfers.parent[transfer]),
      this.#clock.tick,
    );
    if (waitTicks <= 1) this.#send(transfer);
    else this.#transfers.events.set(transfer, this.#clock.tick + waitTicks);
  }

  #send(transfer: number): void {
    const from = this.#members.hostOf(this.#transfers.parent[transfer]);
    const to = this.#members.hostOf(this.#transfers.child[transfer]);
    this.leavePlace(transfer);
    this.#transfers.phase[transfer] = SENDING;
    this.#links.begin(from, to, this.#clock.tick);
    if (this.#isByTurns) this.#transfers.askedTick[transfer] = this.#clock.tick;
    this.#shares.start(transfer, from, to, this.#settings.pieceBytes, this.#clock.tick, this.#markOf(transfer));
    this.#parts.turns.noteOpenness(to);
    if (this.#isByTurns) this.#parts.turns.offerTurn(from);
  }

  /** Bytes of which the rest of a piece consists when the next turn may be given. */
  #markOf(transfer: number): number {
    if (!this.#isByTurns) return 0;
    const parent = this.#transfers.parent[transfer];
    const from = this.#members.hostOf(parent);
    const leadTicks =
      this.#members.isSteered[parent] === 1
        ? TURN_RULES.sourceLeadMs * TICKS_PER_MS
        : this.#hosts.leadTicks(from, this.#members.hostOf(this.#transfers.child[transfer]));
    return this.#hosts.rateOf[from] * leadTicks;
  }

  /** Nearly sent: the next turn is offered, so that its piece follows without a gap. */
  #ending(transfer: number): void {
    this.leavePlace(transfer);
    this.#transfers.phase[transfer] = ENDING;
    this.#shares.pass(transfer, this.#clock.tick);
    this.#parts.turns.noteOpenness(this.#members.hostOf(this.#transfers.child[transfer]));
    this.#parts.turns.offerTurn(this.#members.hostOf(this.#transfers.parent[transfer]));
  }

  #sent(transfer: number): void {
    const member = this.#transfers.child[transfer];
    const parent = this.#transfers.parent[transfer];
    this.#shares.stop(transfer, this.#clock.tick);
    this.leavePlace(transfer);
    this.#transfers.phase[transfer] = LANDING;
    if (parent === NONE) {
      this.#tally.originBytes += this.#settings.pieceBytes;
      this.#landed(transfer);
      this.#parts.origin.fetchFromOrigin(member);
      return;
    }
    const host = this.#members.hostOf(parent);
    const to = this.#members.hostOf(member);
    const tookTicks = this.#clock.tick - this.#transfers.askedTick[transfer];
    this.#links.took(host, to, tookTicks, 2 * this.#hosts.latency(host, to));
    this.travel(transfer);
    const steering = this.#members.steering[parent];
    if (steering !== undefined) {
      const reveals = steering.pieceSent(
        member * SLOTS + this.#transfers.slot[transfer],
        this.#transfers.piece[transfer],
        this.#clock.nowMs,
      );
      this.#parts.hearsay.reveal(parent, reveals);
      this.#parts.origin.fetchFromOrigin(parent);
    }
    this.serveNext(host);
  }

  /** Gives up what the transfer holds at its two ends, as its phase says. */
  leavePlace(transfer: number): void {
    const parent = this.#transfers.parent[transfer];
    if (parent === NONE) return;
    const from = this.#members.hostOf(parent);
    const to = this.#members.hostOf(this.#transfers.child[transfer]);
    const phase = this.#transfers.phase[transfer];
    if (phase === OFFERED || phase === DECLINED || phase === HELD) {
      this.#links.promise(from, -1);
      if (phase === HELD) this.#links.expect(to, -1);
    } else if (phase === ASKED || phase === BOOKED || phase === QUEUED) {
      this.#links.expect(to, -1);
      if (this.#isByTurns) this.#links.promise(from, -1);
    } else if (phase === SENDING) {
      this.#links.end(from, to, this.#transfers.askedTick[transfer]);
    }
  }

  /** Lets begin what may begin. */
  serveNext(host: number): void {
    if (this.#isByTurns) return this.#parts.turns.offerTurn(host);
    const slots = this.#uploadSlots;
    while (this.#hosts.isAlive[host] === 1 && this.#links.sending(host) < slots) {
      const transfer = this.#queue.head[host];
      if (transfer === NONE) return;
      this.#queue.dequeue(host, transfer);
      this.#queue.lineUpAgain(host, this.#transfers.child[transfer]);
      this.#send(transfer);
    }
  }

  #landed(transfer: number): void {
    const member = this.#transfers.child[transfer];
    const piece = this.#transfers.piece[transfer];
    const parent = this.#transfers.parent[transfer];
    if (parent !== NONE && this.#isMesh) this.#parts.choosing.measure(transfer);
    this.#release(transfer);
    if (this.#members.has(member, piece)) return;
    for (let other = member; other < this.#transfers.end; other += this.#transfers.stride)
      if (this.#transfers.phase[other] !== FREE && this.#transfers.piece[other] === piece) this.#cancel(other);
    this.#members.keep(member, piece, parent);
    this.#members.lastPieceTick[member] = this.#clock.tick;
    this.#members.unwish(member, piece);
    this.#members.missing[member]--;
    this.#tally.piecesDelivered++;
    const host = this.#members.hostOf(member);
    if (parent !== NONE && this.#hosts.zoneOf[host] !== this.#hosts.zoneOf[this.#members.hostOf(parent)])
      this.#tally.crossZoneBytes += this.#settings.pieceBytes;
    const steering = this.#members.steering[member];
    if (steering !== undefined) {
      const revealed = steering.pieceHeld(piece, this.#clock.nowMs);
      if (this.#members.isSteered[member] === 1) this.#parts.hearsay.reveal(member, revealed);
    }
    this.#parts.hearsay.spread(member, piece);
    if (this.#members.missing[member] === 0) this.#finish(member);
    else {
      if (!this.#isMesh) this.#mail.tell('report', member);
      else if (this.#members.isReporting[member] === 0) {
        this.#members.isReporting[member] = 1;
        this.#mail.post('report', member, this.#settings.daemon.reportIntervalMs + this.#hosts.toSchedulerMs(host));
      }
      this.#parts.choosing.choose(member);
    }
  }

  #finish(member: number): void {
    this.#members.state[member] = DONE;
    this.#members.doneTick[member] = this.#clock.tick;
    this.#members.setHungry(member, false);
    for (let slot = 0; slot < SLOTS; slot++) this.#parts.parents.leave(member, slot);
    this.#members.pickers[member] = undefined;
    if (this.#members.hostOf(member) < this.#settings.peers) this.#tally.unfinished--;
    this.#mail.tell('finished', member);
  }

  /** The transfer is over, whatever came of it, and its lane free. */
  #release(transfer: number): void {
    const member = this.#transfers.child[transfer];
    const phase = this.#transfers.phase[transfer];
    this.leavePlace(transfer);
    this.#transfers.phase[transfer] = FREE;
    if (this.#transfers.parent[transfer] === NONE || phase === OFFERED || phase === DECLINED || phase === HELD) return;
    this.#members.outstanding[member]--;
    this.#members.pickers[member]?.ended(this.#transfers.slot[transfer]);
  }

  /** The child lets go of what is under way. */
  #cancel(transfer: number): void {
    const parent = this.#transfers.parent[transfer];
    const phase = this.#transfers.phase[transfer];
    const host = parent === NONE ? this.#hosts.count : this.#members.hostOf(parent);
    this.#transfers.events.cancel(transfer);
    if (phase === QUEUED) this.#queue.dequeue(host, transfer);
    if (phase === SENDING || phase === ENDING) {
      const left = this.#shares.stop(transfer, this.#clock.tick);
      if (parent === NONE) this.#tally.originBytes += this.#settings.pieceBytes - left;
    }
    this.#release(transfer);
    if (parent === NONE || phase === LANDING || phase === DROPPED) return;
    if (phase !== QUEUED) this.serveNext(host);
    if (this.#isByTurns) this.#parts.turns.noteOpenness(this.#members.hostOf(this.#transfers.child[transfer]));
  }

  /** As cancel; the piece is wanted again. */
  abandon(transfer: number): void {
    const member = this.#transfers.child[transfer];
    const piece = this.#transfers.piece[transfer];
    this.#cancel(transfer);
    if (piece !== NO_PIECE && !this.#members.has(member, piece)) this.#members.wish(member, piece);
  }
}

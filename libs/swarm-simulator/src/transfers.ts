import { SLOTS } from './edges.ts';
import type { Edges } from './edges.ts';
import { EventWheel } from './event-wheel.ts';
import type { Ground } from './ground.ts';
import { NONE } from './none.ts';

// Phases of a transfer. With turns: offered by the parent, then taken or declined by the child; when the parent has heard, it waits until
// uplink and downlink are free, and is sent.
export const FREE = 0;
export const ASKED = 1;
export const QUEUED = 2;
export const SENDING = 3;
/** Nearly sent: its places at both ends are free again. */
export const ENDING = 4;
export const LANDING = 5;
export const DROPPED = 6;
export const OFFERED = 7;
export const DECLINED = 8;
/** The child means to take the turn once its downlink is free. */
export const HELD = 9;
export const BOOKED = 10;

/** A second parent may be asked for so many pieces at once. */
export const MAX_HEDGES = 4;
export const NO_PIECE = 65535;

/**
 * What is under way or being arranged, in columns. Each member has some lanes, and in each lane one transfer at a time. The first lanes of all
 * members stand together, since most members use no other: the lanes of one are `member`, `member + stride` … below `end`.
 */
export class Transfers {
  /** How far each has got. */
  readonly phase: Uint8Array;
  readonly child: Int32Array;
  readonly slot: Uint8Array;
  readonly parent: Int32Array;
  readonly piece: Uint16Array;
  readonly askedTick: Float64Array;
  /** With turns: it may begin beside what else the child receives. */
  readonly isBeside: Uint8Array;
  readonly isHedged: Uint8Array;
  /** Pieces that a member asks for at once. */
  readonly concurrency: number;
  /** Transfers of one member, hedges and all. */
  readonly lanes: number;
  /** From one lane of a member to its next. */
  readonly stride: number;
  readonly end: number;
  /** When each gets further. */
  readonly events: EventWheel;
  readonly #edges: Edges;

  constructor({ settings, edges, members }: Pick<Ground, 'settings' | 'edges' | 'members'>) {
    this.#edges = edges;
    this.concurrency = settings.policy === 'mesh' ? settings.daemon.concurrency : settings.stock.concurrency;
    this.lanes = this.concurrency + MAX_HEDGES;
    this.stride = members.count;
    const transfers = (this.end = members.count * this.lanes);
    this.phase = new Uint8Array(transfers);
    this.child = new Int32Array(transfers);
    this.slot = new Uint8Array(transfers);
    this.parent = new Int32Array(transfers);
    this.piece = new Uint16Array(transfers);
    this.askedTick = new Float64Array(transfers);
    this.isBeside = new Uint8Array(transfers);
    this.isHedged = new Uint8Array(transfers);
    this.events = new EventWheel(transfers);
  }

  /** @returns a free lane; NONE when a piece is on its way from the origin already */
  originLane(member: number): number {
    let free = NONE;
    for (let transfer = member; transfer < this.end; transfer += this.stride) {
      if (this.phase[transfer] === FREE) free = transfer;
      else if (this.parent[transfer] === NONE) return NONE;
    }
    return free;
  }

  hedgesOf(member: number): number {
    let hedges = 0;
    for (let transfer = member; transfer < this.end; transfer += this.stride)
      if (this.phase[transfer] !== FREE && this.isHedged[transfer] === 1) hedges++;
    return hedges;
  }

  /** @returns NONE when the member has as many as it can */
  newTransfer(member: number, slot: number): number {
    for (let transfer = member; transfer < this.end; transfer += this.stride) {
      if (this.phase[transfer] !== FREE) continue;
      this.child[transfer] = member;
      this.slot[transfer] = slot;
      this.parent[transfer] = this.#edges.parent[member * SLOTS + slot];
      this.piece[transfer] = NO_PIECE;
      this.isHedged[transfer] = 0;
      return transfer;
    }
    return NONE;
  }

  hasLane(member: number): boolean {
    for (let transfer = member; transfer < this.end; transfer += this.stride)
      if (this.phase[transfer] === FREE) return true;
    return false;
  }
}

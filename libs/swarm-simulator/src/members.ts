import type { ReadonlyPieceSet } from '@d7y/piece';
import { PieceSet } from '@d7y/piece';
import type { PiecePicker, PickRule, Steering } from '@d7y/swarm';
import type { Clock } from './clock.ts';
import { SLOT_BITS, SLOTS } from './edges.ts';
import type { Ground } from './ground.ts';
import type { Hosts } from './hosts.ts';
import { NONE } from './none.ts';
import type { Settings } from './settings.ts';

// States of a member.
export const IDLE = 0;
export const WAITING = 1;
export const FETCHING = 2;
export const AT_ORIGIN = 3;
export const DONE = 4;

// Why a member that has parents fetches from the origin.
export const FOR_WHAT_IS_LATE = 1;
export const FOR_WHAT_NOBODY_HAS = 2;

/** In a log, a piece stands beside its tick. */
export const PIECE_NUMBERS = 65_536;
export const PIECE_MASK = PIECE_NUMBERS - 1;

/** Among the news of a member, beside the bits of the slots: it waits for them. */
export const IS_HUNGRY = 1 << SLOTS;

/** Downloads, one for each host and task, in columns: what each has, wants and waits for. */
export class Members {
  readonly count: number;
  readonly pieces: number;
  readonly words: number;
  readonly state: Uint8Array;
  readonly have: Uint32Array;
  readonly wanted: Uint32Array;
  readonly missing: Int32Array;
  /** Of each member what it got, in order: tick × 65,536 + piece; behind the last, Infinity. */
  readonly log: Float64Array;
  readonly logParent: Int32Array;
  readonly logCount: Int32Array;
  /** Of each member: the slots whose parents have logged more than was read, and whether it waits for such news. */
  readonly news: Int32Array;
  readonly reported: Int32Array;
  readonly isReporting: Uint8Array;
  readonly outstanding: Int32Array;
  /** Slots of parents that are there for what neighbours do not bring: those still at rest, and those that are asked. */
  readonly fallbacks: Uint32Array;
  readonly calledFallbacks: Uint32Array;
  /** Since when nothing has been under way; Infinity when something is. */
  readonly idleSinceTick: Float64Array;
  /** What a transfer brings, of late, in bytes per tick; 0 while unknown. */
  readonly typicalRate: Float32Array;
  readonly lastPieceTick: Float64Array;
  /** Fetches from the origin, beside its parents, what they have not brought for long. */
  readonly hasLease: Uint8Array;
  readonly leaseDueTick: Float64Array;
  /** Its first offer after a registration is still to come. */
  readonly isRegistering: Uint8Array;
  readonly startTick: Float64Array;
  readonly firstWanted: Uint16Array;
  readonly doneTick: Float64Array;
  readonly originNext: Int32Array;
  /** With stock daemons: when the piece may be asked for; 0 while nobody has said that it has it. */
  readonly readyTick: Uint32Array;
  /** What the scheduler said of rare pieces, by member. */
  readonly hotPieces = new Map<number, ReadonlyPieceSet>();
  readonly pickers: (PiecePicker | undefined)[];
  readonly steering: (Steering<number> | undefined)[];
  readonly isSteered: Uint8Array;
  /** Of who steers: the edges to children that were told of something. */
  readonly toldEdges = new Map<number, Set<number>>();
  readonly #settings: Settings;
  readonly #random: () => number;
  readonly #hosts: Hosts;
  readonly #clock: Clock;

  constructor({ settings, random, hosts, clock }: Pick<Ground, 'settings' | 'random' | 'hosts' | 'clock'>) {
    this.#settings = settings;
    this.#random = random;
    this.#hosts = hosts;
    this.#clock = clock;
    const pieces = (this.pieces = settings.pieces);
    const words = (this.words = Math.ceil(pieces / 32));
    const members = (this.count = hosts.count * settings.tasks);
    this.state = new Uint8Array(members);
    this.have = new Uint32Array(members * words);
    this.wanted = new Uint32Array(members * words);
    this.missing = new Int32Array(members);
    this.log = new Float64Array(members * (pieces + 1)).fill(Infinity);
    this.logParent = new Int32Array(members * pieces);
    this.logCount = new Int32Array(members);
    this.news = new Int32Array(members);
    this.reported = new Int32Array(members);
    this.isReporting = new Uint8Array(members);
    this.outstanding = new Int32Array(members);
    this.fallbacks = new Uint32Array(members);
    this.calledFallbacks = new Uint32Array(members);
    this.idleSinceTick = new Float64Array(members).fill(Infinity);
    this.typicalRate = new Float32Array(members);
    this.lastPieceTick = new Float64Array(members);
    this.hasLease = new Uint8Array(members);
    this.leaseDueTick = new Float64Array(members);
    this.isRegistering = new Uint8Array(members);
    this.startTick = new Float64Array(members);
    this.firstWanted = new Uint16Array(members);
    this.doneTick = new Float64Array(members).fill(Infinity);
    this.originNext = new Int32Array(members).fill(NONE);
    this.readyTick = new Uint32Array(settings.policy === 'mesh' ? 0 : members * pieces);
    this.pickers = new Array<PiecePicker | undefined>(members).fill(undefined);
    this.steering = new Array<Steering<number> | undefined>(members).fill(undefined);
    this.isSteered = new Uint8Array(members);
  }

  want(member: number): void {
    const { rangeShare } = this.#settings;
    const count = Math.max(1, Math.round(this.pieces * rangeShare));
    const first = count === this.pieces ? 0 : Math.floor(this.#random() * (this.pieces - count + 1));
    for (let piece = first; piece < first + count; piece++) this.wish(member, piece);
    this.missing[member] = count;
    this.firstWanted[member] = first;
  }

  wish(member: number, piece: number): void {
    this.wanted[member * this.words + (piece >>> 5)] |= 1 << (piece & 31);
  }

  unwish(member: number, piece: number): void {
    this.wanted[member * this.words + (piece >>> 5)] &= ~(1 << (piece & 31));
  }

  has(member: number, piece: number): boolean {
    return (this.have[member * this.words + (piece >>> 5)] & (1 << (piece & 31))) !== 0;
  }

  /** Takes a piece into the log, for others to learn of. */
  keep(member: number, piece: number, parent: number): void {
    this.have[member * this.words + (piece >>> 5)] |= 1 << (piece & 31);
    const count = this.logCount[member]++;
    this.log[member * (this.pieces + 1) + count] = this.#clock.tick * PIECE_NUMBERS + piece;
    this.logParent[member * this.pieces + count] = parent;
  }

  loggedPiece(member: number, entry: number): number {
    return this.log[member * (this.pieces + 1) + entry] & PIECE_MASK;
  }

  hostOf(member: number): number {
    return member < this.#hosts.count ? member : member % this.#hosts.count;
  }

  taskId(member: number): string {
    return `t${Math.floor(member / this.#hosts.count)}`;
  }

  isWanted(member: number, piece: number): boolean {
    return (this.wanted[member * this.words + (piece >>> 5)] & (1 << (piece & 31))) !== 0;
  }

  /** What a child that wants a part only says that it wants; undefined for everything. */
  interestOf(edge: number): PieceSet | undefined {
    if (this.#settings.rangeShare === 1) return undefined;
    const member = edge >> SLOT_BITS;
    const wanted = new PieceSet();
    for (let piece = 0; piece < this.pieces; piece++) if (this.isWanted(member, piece)) wanted.add(piece);
    return wanted;
  }

  readonly #wantedOf = {
    offset: 0,
    has: (piece: number): boolean => (this.wanted[this.#wantedOf.offset + (piece >>> 5)] & (1 << (piece & 31))) !== 0,
    wordAt: (index: number): number => this.wanted[this.#wantedOf.offset + index],
  };

  setHungry(member: number, isHungry: boolean): void {
    if (isHungry) this.news[member] |= IS_HUNGRY;
    else this.news[member] &= ~IS_HUNGRY;
  }

  isAllAsked(member: number): boolean {
    for (let word = member * this.words; word < (member + 1) * this.words; word++)
      if (this.wanted[word] !== 0) return false;
    return this.missing[member] > 0;
  }

  ruleOf(member: number): Pick<PickRule, 'wanted' | 'order' | 'hot'> {
    const order = this.logCount[member] < this.#settings.daemon.randomPieces ? 'random' : 'rarest';
    return { wanted: this.wantedBy(member), order, hot: this.hotPieces.get(member) };
  }

  wantedBy(member: number): PickRule['wanted'] {
    this.#wantedOf.offset = member * this.words;
    return this.#wantedOf;
  }
}

// Who owns what: the simulation owns the virtual clock, the hosts with their links, and one member per host and task, which is that
// host's download: its pieces, its neighbours, what is under way to it. Members know of each other only what messages told them: a piece
// that a parent got counts for its child only once the announcement has travelled. To save the events of those announcements, a
// child reads its parents' logs of (piece, time) as far as word can have reached it. The scheduler is the real one, behind latency.
import type { ReadonlyPieceSet } from '@d7y/piece';
import { PieceSet } from '@d7y/piece';
import type { Decision, OfferedParent, PickedPiece, PickRule, Reveal, SwarmOptions } from '@d7y/swarm';
import { drawChild, PiecePicker, Steering, Swarm, TURN_RULES } from '@d7y/swarm';
import { ChildLists } from './child-lists.ts';
import { EventWheel } from './event-wheel.ts';
import { HostLinks } from './host-links.ts';
import { LinkShares } from './link-shares.ts';
import { seededRandom } from './random.ts';
import type { Settings } from './settings.ts';
import { optimumMs } from './settings.ts';
import { TICKS_PER_MS } from './ticks.ts';

const SWARM_TICK_MS = 100;
/** Parents that a member has at once, at most. */
const SLOT_BITS = 4;
const SLOTS = 1 << SLOT_BITS;
/** A second parent may be asked for so many pieces at once. */
const MAX_HEDGES = 4;
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
/** A turn is taken so much later than would just do: two pieces that overlap slow each other down. */
const SAFETY_TICKS = 3;
const ALL_SLOTS = (1 << SLOTS) - 1;
/** Beside the bits of the slots. */
const IS_HUNGRY = 1 << SLOTS;
const NO_PIECE = 65535;
const PIECE_NUMBERS = 65_536;
const PIECE_MASK = PIECE_NUMBERS - 1;
const ANYTHING = { isNews: false };
const NEWS = { isNews: true };
const STEERING_TICK_MS = 250;
/** Fallbacks are asked when nothing was under way for so long. */
const FALLBACK_AFTER_MS = 500;
/** The scheduler is asked for leave to fetch from the origin when no piece came for so long, and again while it refuses. */
const LATE_MS = 5_000;
const LEASE_RETRY_MS = 1_000;
const NONE = -1;

// Phases of a transfer. With turns: offered by the parent, then taken or declined by the child; when the parent has heard, it waits until
// uplink and downlink are free, and is sent.
const FREE = 0;
const ASKED = 1;
const QUEUED = 2;
const SENDING = 3;
/** Nearly sent: its places at both ends are free again. */
const ENDING = 4;
const LANDING = 5;
const DROPPED = 6;
const OFFERED = 7;
const DECLINED = 8;
/** The child means to take the turn once its downlink is free. */
const HELD = 9;
const BOOKED = 10;

// Why a member that has parents fetches from the origin.
const FOR_WHAT_IS_LATE = 1;
const FOR_WHAT_NOBODY_HAS = 2;

const IDLE = 0;
const WAITING = 1;
const FETCHING = 2;
const AT_ORIGIN = 3;
const DONE = 4;

type LetterKind =
  | 'start'
  | 'register'
  | 'started'
  | 'atOrigin'
  | 'report'
  | 'finished'
  | 'reschedule'
  | 'parentFailed'
  | 'decision'
  | 'probed'
  | 'link'
  | 'revealed'
  | 'parentGone'
  | 'swarmTick'
  | 'hostDies'
  | 'hostLost'
  | 'schedulerDies'
  | 'schedulerStarts'
  | 'originAnswers'
  | 'steeringTick'
  | 'swarmReminder'
  | 'leaseAsked'
  | 'leaseAnswered'
  | 'leaseReturned';

export interface SimulationPorts {
  readonly swarmOptions: Partial<SwarmOptions>;
  /** Processor time so far, in ms; for the cost of the scheduler's decisions. */
  readonly cpuMs: () => number;
}

/** What came of a run. Times in ms from the first request. */
export interface Outcome {
  readonly optimumMs: number;
  /** Of each normal host in order: from the first request, in a rolling start its own, to its last verified byte; Infinity when it did not finish. */
  readonly hostMs: Float64Array;
  /** Whether the host of that number shares and sends at the full rate. */
  readonly isNormal: Uint8Array;
  readonly originBytes: number;
  readonly crossZoneBytes: number;
  readonly piecesDelivered: number;
  readonly registrations: number;
  readonly schedulerMessages: number;
  readonly schedulerCpuMs: number;
  /** Requests for a piece that was asked of somebody else as well. */
  readonly hedges: number;
  /** Mean use of all uplinks over time, in steps of a twentieth of the bound. */
  readonly uplinkUse: readonly number[];
}

export class Simulation {
  readonly #settings: Settings;
  readonly #ports: SimulationPorts;
  readonly #random: () => number;
  readonly #isMesh: boolean;
  readonly #hosts: number;
  readonly #pieces: number;
  readonly #words: number;
  readonly #members: number;
  readonly #concurrency: number;
  /** Transfers of one member, hedges and all. */
  readonly #lanes: number;

  // Hosts. The one after the last is the origin.
  readonly #zoneOf: Uint8Array;
  readonly #isAlive: Uint8Array;
  readonly #isNormal: Uint8Array;
  readonly #isLeech: Uint8Array;
  readonly #rateOf: Float64Array;
  readonly #queueHead: Int32Array;
  readonly #queueTail: Int32Array;
  readonly #links: HostLinks;

  // Members.
  readonly #state: Uint8Array;
  readonly #have: Uint32Array;
  readonly #wanted: Uint32Array;
  readonly #missing: Int32Array;
  /** Of each member what it got, in order: tick × 65,536 + piece; behind the last, Infinity. */
  readonly #log: Float64Array;
  readonly #logParent: Int32Array;
  readonly #logCount: Int32Array;
  readonly #reported: Int32Array;
  readonly #isReporting: Uint8Array;
  readonly #outstanding: Int32Array;
  /** Slots of parents that are there for what neighbours do not bring: those still at rest, and those that are asked. */
  readonly #fallbacks: Uint32Array;
  readonly #calledFallbacks: Uint32Array;
  /** Since when nothing has been under way; Infinity when something is. */
  readonly #idleSinceTick: Float64Array;
  /** What a transfer brings, of late; by member, and by edge. Bytes per tick, 0 while unknown. */
  readonly #typicalRate: Float32Array;
  readonly #edgeRate: Float32Array;
  readonly #lastPieceTick: Float64Array;
  /** Fetches from the origin, beside its parents, what they have not brought for long. */
  readonly #hasLease: Uint8Array;
  readonly #leaseDueTick: Float64Array;
  /** Its first offer after a registration is still to come. */
  readonly #isRegistering: Uint8Array;
  readonly #startTick: Float64Array;
  readonly #firstWanted: Uint16Array;
  readonly #doneTick: Float64Array;
  readonly #originNext: Int32Array;
  readonly #laneTransfer: Int32Array;
  /** With stock daemons: when the piece may be asked for; 0 while nobody has said that it has it. */
  readonly #readyTick: Uint32Array;
  /** What the scheduler said of rare pieces, by member. */
  readonly #hotPieces = new Map<number, ReadonlyPieceSet>();
  readonly #pickers: (PiecePicker | undefined)[];
  readonly #steering: (Steering<number> | undefined)[];
  readonly #isSteered: Uint8Array;
  /** Of who steers: the edges to children that were told of something. */
  readonly #toldEdges = new Map<number, Set<number>>();

  // Edges: member × slot.
  readonly #edgeParent: Int32Array;
  readonly #edgeCursor: Uint16Array;
  /** Of each member: the slots whose parents have logged more than was read, and whether it waits for such news. */
  readonly #news: Int32Array;
  readonly #edgeReady: Int32Array;
  readonly #children: ChildLists;

  // Transfers.
  readonly #phase: Uint8Array;
  readonly #child: Int32Array;
  readonly #slot: Uint8Array;
  readonly #parent: Int32Array;
  readonly #piece: Uint16Array;
  readonly #askedTick: Float64Array;
  /** With turns: it may begin beside what else the child receives. */
  readonly #isBeside: Uint8Array;
  readonly #isHedged: Uint8Array;
  readonly #queueNext: Int32Array;
  readonly #queuePrevious: Int32Array;

  readonly #transfers: EventWheel;
  readonly #shares: LinkShares;
  readonly #wakes: EventWheel;
  /** When a host looks for whom to offer its turn. */
  readonly #turns: EventWheel;
  readonly #isByTurns: boolean;
  readonly #uploadSlots: number;
  readonly #isZoned: boolean;
  readonly #latencyTicks: number;
  readonly #zoneLatencyTicks: number;
  readonly #mail: EventWheel;
  readonly #letterKind: (LetterKind | undefined)[] = [];
  readonly #letterMember: number[] = [];
  readonly #letterNumber: number[] = [];
  readonly #letterDecision: (Decision | undefined)[] = [];
  readonly #freeLetters: number[] = [];

  #swarm: Swarm;
  #isSchedulerUp = true;
  #epoch = 0;
  #tick = 0;
  #unfinished = 0;
  readonly #firstTick: number;
  #originBytes = 0;
  #crossZoneBytes = 0;
  #piecesDelivered = 0;
  #registrations = 0;
  #schedulerMessages = 0;
  #schedulerCpuMs = 0;
  #hedges = 0;
  readonly #uplinkUse: number[] = [];

  constructor(settings: Settings, ports: SimulationPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#random = seededRandom(settings.seed);
    this.#isMesh = settings.policy === 'mesh';
    const hosts = (this.#hosts = settings.peers + settings.seeds);
    const pieces = (this.#pieces = settings.pieces);
    const words = (this.#words = Math.ceil(pieces / 32));
    const members = (this.#members = hosts * settings.tasks);
    this.#isByTurns = this.#isMesh && settings.daemon.uploads === 'turns';
    this.#uploadSlots = this.#isMesh ? settings.daemon.uploadSlots : Infinity;
    this.#isZoned = settings.zones > 1;
    this.#latencyTicks = settings.latencyMs * TICKS_PER_MS;
    this.#zoneLatencyTicks = settings.zoneLatencyMs * TICKS_PER_MS;
    this.#concurrency = this.#isMesh ? settings.daemon.concurrency : settings.stock.concurrency;
    this.#lanes = this.#concurrency + MAX_HEDGES;

    this.#zoneOf = new Uint8Array(hosts + 1);
    this.#isAlive = new Uint8Array(hosts + 1).fill(1);
    this.#isNormal = new Uint8Array(hosts).fill(1);
    this.#isLeech = new Uint8Array(hosts);
    this.#rateOf = new Float64Array(hosts + 1);
    this.#queueHead = new Int32Array(hosts).fill(NONE);
    this.#queueTail = new Int32Array(hosts).fill(NONE);
    this.#links = new HostLinks(hosts);
    this.#turns = new EventWheel(hosts);

    this.#state = new Uint8Array(members);
    this.#have = new Uint32Array(members * words);
    this.#wanted = new Uint32Array(members * words);
    this.#missing = new Int32Array(members);
    this.#log = new Float64Array(members * (pieces + 1)).fill(Infinity);
    this.#logParent = new Int32Array(members * pieces);
    this.#logCount = new Int32Array(members);
    this.#reported = new Int32Array(members);
    this.#isReporting = new Uint8Array(members);
    this.#outstanding = new Int32Array(members);
    this.#fallbacks = new Uint32Array(members);
    this.#calledFallbacks = new Uint32Array(members);
    this.#idleSinceTick = new Float64Array(members).fill(Infinity);
    this.#typicalRate = new Float32Array(members);
    this.#lastPieceTick = new Float64Array(members);
    this.#hasLease = new Uint8Array(members);
    this.#leaseDueTick = new Float64Array(members);
    this.#isRegistering = new Uint8Array(members);
    this.#startTick = new Float64Array(members);
    this.#firstWanted = new Uint16Array(members);
    this.#doneTick = new Float64Array(members).fill(Infinity);
    this.#originNext = new Int32Array(members).fill(NONE);
    this.#laneTransfer = new Int32Array(members * this.#lanes).fill(NONE);
    this.#readyTick = new Uint32Array(this.#isMesh ? 0 : members * pieces);
    this.#pickers = new Array<PiecePicker | undefined>(members).fill(undefined);
    this.#steering = new Array<Steering<number> | undefined>(members).fill(undefined);
    this.#isSteered = new Uint8Array(members);

    const edges = members * SLOTS;
    this.#edgeParent = new Int32Array(edges).fill(NONE);
    this.#edgeCursor = new Uint16Array(edges);
    this.#news = new Int32Array(members);
    this.#edgeReady = new Int32Array(edges);
    this.#edgeRate = new Float32Array(edges);
    this.#children = new ChildLists(members, edges);

    // The transfers of a member are its lanes.
    const transfers = members * this.#lanes;
    this.#phase = new Uint8Array(transfers);
    this.#child = new Int32Array(transfers);
    this.#slot = new Uint8Array(transfers);
    this.#parent = new Int32Array(transfers);
    this.#piece = new Uint16Array(transfers);
    this.#askedTick = new Float64Array(transfers);
    this.#isBeside = new Uint8Array(transfers);
    this.#isHedged = new Uint8Array(transfers);
    this.#queueNext = new Int32Array(transfers);
    this.#queuePrevious = new Int32Array(transfers);
    this.#transfers = new EventWheel(transfers);
    this.#wakes = new EventWheel(members);
    this.#mail = new EventWheel(1024);

    const bytesPerTick = (bitsPerSec: number): number => bitsPerSec / 8 / 1000 / TICKS_PER_MS;
    const up = new Float64Array(hosts + 1).fill(bytesPerTick(settings.rateBitsPerSec));
    const down = up.slice();
    up[hosts] = bytesPerTick(settings.originBitsPerSec);
    this.#draw(settings.slowShare, (host) => {
      up[host] /= 10;
      this.#isNormal[host] = 0;
    });
    this.#draw(settings.leechShare, (host) => {
      this.#isLeech[host] = 1;
      this.#links.mute(host);
      this.#isNormal[host] = 0;
    });
    this.#rateOf = up;
    this.#shares = new LinkShares({ up, down }, transfers, this.#transfers);
    for (let host = 0; host < hosts; host++) this.#zoneOf[host] = host % settings.zones;
    const firstStartMs = 1000;
    this.#firstTick = firstStartMs * TICKS_PER_MS;
    this.#swarm = this.#newSwarm();
  }

  run(): Outcome {
    const settings = this.#settings;
    const bound = optimumMs(settings);
    for (let host = 0; host < this.#hosts; host++) this.#announce(host);
    this.#post('swarmTick', 0, SWARM_TICK_MS);
    this.#draw(settings.warmShare, (host) => this.#warm(host));
    for (let host = 0; host < settings.peers; host++) {
      const startMs = this.#firstTick / TICKS_PER_MS + this.#random() * settings.startWithinMs;
      for (let task = 0; task < settings.tasks; task++) {
        const member = task * this.#hosts + host;
        if (this.#state[member] === DONE) continue;
        this.#want(member);
        this.#unfinished++;
        this.#startTick[member] = Math.round(startMs * TICKS_PER_MS);
        this.#post('start', member, startMs);
      }
    }
    const firstMs = this.#firstTick / TICKS_PER_MS;
    if (settings.seedDeathAt !== undefined)
      this.#post('hostDies', settings.peers, firstMs + settings.seedDeathAt * bound);
    if (settings.schedulerRestartAt !== undefined)
      this.#post('schedulerDies', 0, firstMs + settings.schedulerRestartAt * bound);
    this.#draw(settings.deathShare, (host) => {
      this.#isNormal[host] = 0;
      this.#post('hostDies', host, firstMs + settings.startWithinMs + this.#random() * bound);
    });
    const lastTick =
      this.#firstTick + TICKS_PER_MS * (settings.startWithinMs + settings.seedDelayMs + 60_000 + 20 * bound);
    const useEvery = Math.ceil((bound * TICKS_PER_MS) / 20);
    for (this.#tick = 0; this.#unfinished > 0 && this.#tick < lastTick; this.#tick++) {
      this.#step();
      if (this.#tick >= this.#firstTick && (this.#tick - this.#firstTick) % useEvery === 0) this.#noteUse();
    }
    return this.#outcome(bound);
  }

  #step(): void {
    for (let letter = this.#mail.take(this.#tick); letter !== NONE; letter = this.#mail.take(this.#tick))
      this.#read(letter);
    for (
      let transfer = this.#transfers.take(this.#tick);
      transfer !== NONE;
      transfer = this.#transfers.take(this.#tick)
    )
      this.#move(transfer);
    for (let member = this.#wakes.take(this.#tick); member !== NONE; member = this.#wakes.take(this.#tick))
      this.#choose(member, NEWS);
    for (let host = this.#turns.take(this.#tick); host !== NONE; host = this.#turns.take(this.#tick))
      this.#serveNext(host);
  }

  // What is counted.

  #noteUse(): void {
    let sum = 0;
    let capacity = 0;
    for (let host = 0; host < this.#hosts; host++) {
      sum += this.#shares.uploadRate(host);
      capacity += this.#rateOf[host];
    }
    this.#uplinkUse.push(Math.round((sum / capacity) * 1000) / 1000);
  }

  #outcome(bound: number): Outcome {
    const { peers, tasks, scenario } = this.#settings;
    const hostMs = new Float64Array(peers);
    for (let host = 0; host < peers; host++) {
      let last = 0;
      for (let task = 0; task < tasks; task++) last = Math.max(last, this.#doneTick[task * this.#hosts + host]);
      const from =
        scenario === 'rolling'
          ? this.#startTick[host]
          : this.#firstTick + (scenario === 'assembled' ? this.#settings.seedDelayMs * TICKS_PER_MS : 0);
      hostMs[host] = Math.max(last - from, 0) / TICKS_PER_MS;
    }
    return {
      optimumMs: bound,
      hostMs,
      isNormal: this.#isNormal.slice(0, peers),
      originBytes: this.#originBytes,
      crossZoneBytes: this.#crossZoneBytes,
      piecesDelivered: this.#piecesDelivered,
      registrations: this.#registrations,
      schedulerMessages: this.#schedulerMessages,
      schedulerCpuMs: this.#schedulerCpuMs,
      hedges: this.#hedges,
      uplinkUse: this.#uplinkUse,
    };
  }

  // Set-up.

  /** Draws a part of the peers. */
  #draw(share: number, act: (host: number) => void): void {
    const { peers } = this.#settings;
    const order = Int32Array.from({ length: peers }, (_, host) => host);
    for (let drawn = 0; drawn < Math.round(share * peers); drawn++) {
      const other = drawn + Math.floor(this.#random() * (peers - drawn));
      [order[drawn], order[other]] = [order[other], order[drawn]];
      act(order[drawn]);
    }
  }

  #newSwarm(): Swarm {
    this.#epoch++;
    return new Swarm(this.#ports.swarmOptions, this.#random, this.#nowMs);
  }

  #announce(host: number): void {
    const isSeed = host >= this.#settings.peers;
    const id = `h${host}`;
    this.#ask(() => {
      if (this.#isMesh) this.#swarm.linkOpened(id, this.#nowMs);
      return (
        this.#swarm.hostAnnounced(
          {
            id,
            kind: isSeed ? 'seed' : 'normal',
            ip: `10.${host >> 16}.${(host >> 8) & 255}.${host & 255}`,
            port: 4000,
            idc: this.#settings.zones > 1 ? `zone${this.#zoneOf[host]}` : undefined,
            location: undefined,
            disableShared: this.#isLeech[host] === 1,
            announceIntervalMs: undefined,
            uploadBitsPerSecond: this.#rateOf[host] * 8000 * TICKS_PER_MS,
          },
          this.#nowMs,
        ) ?? []
      );
    });
  }

  /** Holds everything, and said so long ago. */
  #warm(host: number): void {
    for (let task = 0; task < this.#settings.tasks; task++) {
      const member = task * this.#hosts + host;
      for (let piece = 0; piece < this.#pieces; piece++) this.#keep(member, piece, NONE);
      this.#state[member] = DONE;
      this.#doneTick[member] = 0;
      this.#reported[member] = this.#logCount[member];
      this.#register(member);
    }
  }

  #want(member: number): void {
    const { rangeShare } = this.#settings;
    const count = Math.max(1, Math.round(this.#pieces * rangeShare));
    const first = count === this.#pieces ? 0 : Math.floor(this.#random() * (this.#pieces - count + 1));
    for (let piece = first; piece < first + count; piece++) this.#wish(member, piece);
    this.#missing[member] = count;
    this.#firstWanted[member] = first;
  }

  #wish(member: number, piece: number): void {
    this.#wanted[member * this.#words + (piece >>> 5)] |= 1 << (piece & 31);
  }

  #unwish(member: number, piece: number): void {
    this.#wanted[member * this.#words + (piece >>> 5)] &= ~(1 << (piece & 31));
  }

  #has(member: number, piece: number): boolean {
    return (this.#have[member * this.#words + (piece >>> 5)] & (1 << (piece & 31))) !== 0;
  }

  /** Takes a piece into the log, for others to learn of. */
  #keep(member: number, piece: number, parent: number): void {
    this.#have[member * this.#words + (piece >>> 5)] |= 1 << (piece & 31);
    const count = this.#logCount[member]++;
    this.#log[member * (this.#pieces + 1) + count] = this.#tick * PIECE_NUMBERS + piece;
    this.#logParent[member * this.#pieces + count] = parent;
  }

  #loggedPiece(member: number, entry: number): number {
    return this.#log[member * (this.#pieces + 1) + entry] & PIECE_MASK;
  }

  // Time and letters.

  get #nowMs(): number {
    return this.#tick / TICKS_PER_MS;
  }

  #hostOf(member: number): number {
    return member < this.#hosts ? member : member % this.#hosts;
  }

  #latency(one: number, other: number): number {
    if (!this.#isZoned || this.#zoneOf[one] === this.#zoneOf[other]) return this.#latencyTicks;
    return this.#zoneLatencyTicks;
  }

  /** The scheduler is in the first zone. */
  #toSchedulerMs(host: number): number {
    const { latencyMs, zoneLatencyMs } = this.#settings;
    return this.#zoneOf[host] === 0 ? latencyMs : zoneLatencyMs;
  }

  #post(kind: LetterKind, member: number, delayMs: number, number = 0, decision?: Decision): void {
    const letter = this.#freeLetters.pop() ?? this.#letterKind.length;
    this.#letterKind[letter] = kind;
    this.#letterMember[letter] = member;
    this.#letterNumber[letter] = number;
    this.#letterDecision[letter] = decision;
    if (letter >= 1024) this.#mail.grow(2 ** Math.ceil(Math.log2(letter + 1)));
    this.#mail.set(letter, this.#tick + delayMs * TICKS_PER_MS);
  }

  #tell(kind: LetterKind, member: number, number = 0): void {
    this.#post(kind, member, this.#toSchedulerMs(this.#hostOf(member)), number);
  }

  /** Lets the scheduler decide something, and sends out what it decided. */
  #ask(decide: () => Decision[]): void {
    const before = this.#ports.cpuMs();
    const decisions = decide();
    this.#schedulerCpuMs += this.#ports.cpuMs() - before;
    for (const decision of decisions) this.#sendOut(decision);
  }

  #sendOut(decision: Decision): void {
    if (decision.kind === 'tickAt') {
      this.#post('swarmReminder', 0, decision.atMs - this.#nowMs, this.#epoch);
      return;
    }
    if (decision.kind === 'probeHost') {
      const host = Number(decision.hostId.slice(1));
      this.#post('probed', host, 2 * this.#toSchedulerMs(host), this.#epoch);
      return;
    }
    const host =
      decision.kind === 'triggerSeed'
        ? Number(decision.seedHostId.slice(1))
        : this.#hostOf(Number(decision.peerId.slice(1)));
    this.#schedulerMessages++;
    this.#post('decision', host, this.#toSchedulerMs(host), this.#epoch, decision);
  }

  #read(letter: number): void {
    const kind = this.#letterKind[letter];
    const member = this.#letterMember[letter];
    const number = this.#letterNumber[letter];
    const decision = this.#letterDecision[letter];
    this.#letterDecision[letter] = undefined;
    this.#freeLetters.push(letter);
    switch (kind) {
      case 'start':
        this.#state[member] = WAITING;
        this.#tell('register', member);
        return;
      case 'decision':
        if (decision !== undefined && number === this.#epoch && this.#isAlive[member] === 1) this.#obey(decision);
        return;
      case 'originAnswers':
        if (this.#isAlive[this.#hostOf(member)] === 1) this.#fetchFromOrigin(member);
        return;
      case 'leaseAnswered':
        if (number === 1 && this.#state[member] === FETCHING && this.#hasLease[member] === 0) {
          this.#hasLease[member] = FOR_WHAT_IS_LATE;
          this.#originNext[member] = 0;
          this.#steer(member);
          this.#post('originAnswers', member, 2 * this.#settings.latencyMs);
        }
        return;
      case 'steeringTick': {
        const steering = this.#steering[member];
        if (steering === undefined || this.#isSteered[member] === 0) return;
        // Children that were told nothing are served by others, as long as this one has enough to do.
        if (this.#links.hasTurn(this.#hostOf(member), this.#tick)) this.#reveal(member, steering.tick(this.#nowMs));
        this.#post('steeringTick', member, STEERING_TICK_MS);
        return;
      }
      case 'revealed':
        this.#learnRevealed(member, Math.floor(number / 65536), number % 65536);
        return;
      case 'parentGone':
        this.#parentGone(member, number);
        return;
      case 'hostDies':
        this.#hostDies(member);
        return;
      case 'schedulerDies':
        this.#isSchedulerUp = false;
        this.#post('schedulerStarts', 0, this.#settings.schedulerDownMs);
        return;
      case 'schedulerStarts':
        this.#schedulerStarts();
        return;
      case undefined:
        return;
      default:
        if (this.#isSchedulerUp) this.#atScheduler(kind, member, number);
        else if (kind === 'swarmTick') this.#post('swarmTick', 0, SWARM_TICK_MS);
        return;
    }
  }

  #atScheduler(
    kind: Exclude<
      LetterKind,
      | 'start'
      | 'decision'
      | 'originAnswers'
      | 'steeringTick'
      | 'leaseAnswered'
      | 'revealed'
      | 'parentGone'
      | 'hostDies'
      | 'schedulerDies'
      | 'schedulerStarts'
    >,
    member: number,
    number: number,
  ): void {
    const peerId = `p${member}`;
    const now = this.#nowMs;
    if (kind !== 'swarmTick' && kind !== 'swarmReminder' && kind !== 'probed' && kind !== 'hostLost')
      this.#schedulerMessages++;
    switch (kind) {
      case 'swarmTick':
        this.#ask(() => this.#swarm.tick(now));
        this.#post('swarmTick', 0, SWARM_TICK_MS);
        return;
      case 'swarmReminder':
        if (number === this.#epoch) this.#ask(() => this.#swarm.tick(now));
        return;
      case 'probed':
        this.#ask(() => this.#swarm.hostProbed(`h${member}`, this.#isAlive[member] === 1, now));
        return;
      case 'link':
        this.#announce(member);
        return;
      case 'register':
        this.#register(member);
        return;
      case 'started':
        this.#ask(() => this.#swarm.peerStarted(peerId, now));
        return;
      case 'atOrigin':
        this.#ask(() => this.#swarm.backToSourceStarted(peerId, now));
        return;
      case 'report':
        this.#isReporting[member] = 0;
        this.#report(member);
        return;
      case 'finished':
        this.#report(member);
        this.#ask(() => this.#swarm.peerFinished(peerId, { fromOrigin: this.#originNext[member] !== NONE }, now));
        return;
      case 'leaseAsked': {
        let isGranted = false;
        this.#ask(() => {
          isGranted = this.#swarm.leaseRequested(`h${this.#hostOf(member)}`, this.#taskId(member), now);
          return [];
        });
        this.#schedulerMessages++;
        this.#post('leaseAnswered', member, this.#toSchedulerMs(this.#hostOf(member)), isGranted ? 1 : 0);
        return;
      }
      case 'leaseReturned':
        this.#ask(() => this.#swarm.leaseReturned(`h${this.#hostOf(member)}`, this.#taskId(member), now));
        return;
      case 'reschedule':
        this.#ask(() => this.#swarm.rescheduleRequested(peerId, [], now));
        return;
      case 'parentFailed':
        this.#ask(() => this.#swarm.pieceFailed(peerId, `p${number}`, now));
        return;
      case 'hostLost':
        for (let task = 0; task < this.#settings.tasks; task++) {
          const lost = `p${task * this.#hosts + member}`;
          this.#ask(() => this.#swarm.streamLost(lost, now));
        }
        if (this.#isMesh) this.#ask(() => this.#swarm.linkLost(`h${member}`, now));
        return;
      default:
        kind satisfies never;
    }
  }

  #taskId(member: number): string {
    return `t${Math.floor(member / this.#hosts)}`;
  }

  #register(member: number): void {
    this.#isRegistering[member] = 1;
    const { pieceBytes, rangeShare } = this.#settings;
    const host = this.#hostOf(member);
    const state = this.#state[member];
    const held: number[] = [];
    for (let entry = 0; entry < this.#logCount[member]; entry++) held.push(this.#loggedPiece(member, entry));
    this.#reported[member] = this.#logCount[member];
    this.#registrations++;
    let range: { start: number; length: number } | undefined;
    if (rangeShare < 1 && host < this.#settings.peers)
      range = {
        start: this.#firstWanted[member] * pieceBytes,
        length: Math.round(rangeShare * this.#pieces) * pieceBytes,
      };
    this.#ask(() =>
      this.#swarm.peerRegistered(
        {
          hostId: `h${host}`,
          taskId: this.#taskId(member),
          peerId: `p${member}`,
          priority: 0,
          range,
          needBackToSource: state === AT_ORIGIN || host >= this.#settings.peers,
          metadataOnly: state === DONE,
          contentLength: this.#pieces * pieceBytes,
          pieceLength: pieceBytes,
          pieceCount: this.#pieces,
          heldPieces: held,
        },
        this.#nowMs,
      ),
    );
  }

  /** Tells the scheduler of the pieces that came since it was told last; ours in one message, a stock daemon one by one. */
  #report(member: number): void {
    const peerId = `p${member}`;
    const from = this.#reported[member];
    const to = (this.#reported[member] = this.#logCount[member]);
    if (from === to) return;
    const pieces: number[] = [];
    const counts = new Map<number, number>();
    for (let entry = from; entry < to; entry++) {
      pieces.push(this.#loggedPiece(member, entry));
      const parent = this.#logParent[member * this.#pieces + entry];
      counts.set(parent, (counts.get(parent) ?? 0) + 1);
    }
    const deliveries = [...counts].map(([parent, count]) => ({
      parentId: parent < 0 ? undefined : `p${parent}`,
      pieces: count,
      bytes: count * this.#settings.pieceBytes,
      durationMs: (count * this.#settings.pieceBytes * 8000) / this.#settings.rateBitsPerSec,
    }));
    this.#ask(() => this.#swarm.piecesFinished(peerId, { pieces, deliveries }, this.#nowMs));
  }

  // What daemons do.

  #obey(decision: Decision): void {
    switch (decision.kind) {
      case 'triggerSeed': {
        const host = Number(decision.seedHostId.slice(1));
        const member = Number(decision.taskId.slice(1)) * this.#hosts + host;
        if (this.#state[member] !== IDLE) return;
        this.#state[member] = WAITING;
        for (let piece = 0; piece < this.#pieces; piece++) this.#wish(member, piece);
        this.#missing[member] = this.#pieces;
        this.#tell('register', member);
        return;
      }
      case 'grantOrigin':
        this.#goToOrigin(Number(decision.peerId.slice(1)));
        return;
      case 'answerMetadataOnly':
        this.#tell('started', Number(decision.peerId.slice(1)));
        this.#tell('finished', Number(decision.peerId.slice(1)));
        return;
      case 'tellHotPieces':
        if (this.#settings.daemon.hotPieces) this.#hotPieces.set(Number(decision.peerId.slice(1)), decision.pieces);
        return;
      case 'offerParents':
        this.#offered(Number(decision.peerId.slice(1)), decision.parents);
        return;
      default:
        return;
    }
  }

  #goToOrigin(member: number): void {
    if (this.#state[member] === DONE) return;
    if (this.#state[member] === AT_ORIGIN) return this.#tell('atOrigin', member);
    if (this.#isMesh && this.#state[member] === FETCHING) return this.#rescue(member);
    this.#state[member] = AT_ORIGIN;
    this.#originNext[member] = 0;
    for (let slot = 0; slot < SLOTS; slot++) this.#leave(member, slot);
    this.#steer(member);
    this.#tell('atOrigin', member);
    const delayMs = this.#hostOf(member) >= this.#settings.peers ? this.#settings.seedDelayMs : 0;
    this.#post('originAnswers', member, delayMs + 2 * this.#settings.latencyMs);
  }

  /** Neighbours go on bringing what they have; the origin is asked for what none of them has. */
  #rescue(member: number): void {
    this.#hasLease[member] = FOR_WHAT_NOBODY_HAS;
    this.#originNext[member] = 0;
    this.#steer(member);
    this.#tell('atOrigin', member);
    this.#post('originAnswers', member, 2 * this.#settings.latencyMs);
  }

  /** From now on each piece that nobody else has is told to one child before any is told twice. */
  #steer(member: number): void {
    if (!this.#isMesh || this.#steering[member] !== undefined) return;
    const steering = new Steering<number>({ pieceCount: this.#pieces });
    this.#steering[member] = steering;
    this.#isSteered[member] = 1;
    this.#toldEdges.set(member, new Set());
    for (let entry = 0; entry < this.#logCount[member]; entry++)
      steering.pieceHeld(this.#loggedPiece(member, entry), this.#nowMs, { isElsewhere: true });
    for (const edge of this.#children.of(member))
      this.#reveal(member, steering.childJoined(edge, this.#nowMs, this.#interestOf(edge)));
    this.#post('steeringTick', member, STEERING_TICK_MS);
  }

  /** One stream, piece after piece; no further ahead of what was sent than the rules say. */
  #fetchFromOrigin(member: number): void {
    const lease = this.#hasLease[member];
    if (this.#state[member] !== AT_ORIGIN && lease === 0) return;
    const transfer = this.#originLane(member);
    if (transfer === NONE) return;
    const picker = lease === FOR_WHAT_NOBODY_HAS ? this.#pickers[member] : undefined;
    let piece = this.#originNext[member];
    while (piece < this.#pieces && (!this.#isWanted(member, piece) || (picker?.holdersOf(piece) ?? 0) > 0)) piece++;
    this.#originNext[member] = piece;
    if (piece === this.#pieces) {
      if (lease === FOR_WHAT_IS_LATE) this.#tell('leaseReturned', member);
      this.#hasLease[member] = 0;
      return;
    }
    const steering = this.#steering[member];
    // Who fetches for itself does not wait for others.
    if (steering !== undefined && !steering.isDone && this.#hostOf(member) >= this.#settings.peers) {
      const unsent = this.#logCount[member] - steering.spreadCount;
      if (unsent >= this.#settings.daemon.originLookAhead && this.#children.of(member).length > 0) return;
    }
    this.#unwish(member, piece);
    this.#phase[transfer] = SENDING;
    this.#child[transfer] = member;
    this.#parent[transfer] = NONE;
    this.#piece[transfer] = piece;
    this.#laneTransfer[transfer] = transfer;
    this.#shares.start(transfer, this.#hosts, this.#hostOf(member), this.#settings.pieceBytes, this.#tick);
  }

  /** @returns a free lane; NONE when a piece is on its way from the origin already */
  #originLane(member: number): number {
    let free = NONE;
    for (let transfer = member * this.#lanes; transfer < (member + 1) * this.#lanes; transfer++) {
      if (this.#phase[transfer] === FREE) free = transfer;
      else if (this.#parent[transfer] === NONE) return NONE;
    }
    return free;
  }

  #isWanted(member: number, piece: number): boolean {
    return (this.#wanted[member * this.#words + (piece >>> 5)] & (1 << (piece & 31))) !== 0;
  }

  #offered(member: number, parents: readonly OfferedParent[]): void {
    const state = this.#state[member];
    if (state === DONE || state === AT_ORIGIN || state === IDLE) return;
    if (state === WAITING) {
      this.#lastPieceTick[member] = this.#tick;
      this.#state[member] = FETCHING;
    }
    if (this.#isRegistering[member] === 1) this.#tell('started', member);
    this.#isRegistering[member] = 0;
    this.#pickers[member] ??= new PiecePicker(this.#pieces, { random: this.#random, slots: this.#isMesh ? SLOTS : 4 });
    for (const { peerId, role } of parents) {
      const parent = Number(peerId.slice(1));
      if (this.#isAlive[this.#hostOf(parent)] === 1) this.#join(member, parent, role === 'fallback');
    }
    this.#choose(member);
  }

  #join(member: number, parent: number, isFallback: boolean): void {
    const picker = this.#pickers[member];
    if (picker === undefined) return;
    let used = 0;
    for (let slot = 0; slot < SLOTS; slot++) {
      const other = this.#edgeParent[member * SLOTS + slot];
      if (other === parent) return;
      if (other !== NONE) used++;
    }
    if (used === SLOTS) return;
    const isNear = this.#isZoned && this.#zoneOf[this.#hostOf(member)] === this.#zoneOf[this.#hostOf(parent)];
    const slot = picker.addParent(isNear ? SAME_ZONE_WEIGHT : 1);
    const edge = member * SLOTS + slot;
    const latency = this.#latency(this.#hostOf(member), this.#hostOf(parent));
    this.#edgeParent[edge] = parent;
    this.#edgeRate[edge] = 0;
    if (isFallback) {
      picker.setUsable(slot, false);
      this.#fallbacks[member] |= 1 << slot;
    }
    this.#edgeCursor[edge] = 0;
    this.#news[member] |= 1 << slot;
    // The question travels, then the answer.
    this.#edgeReady[edge] = this.#tick + 2 * latency;
    this.#children.add(parent, edge);
    const steering = this.#steering[parent];
    if (steering !== undefined && this.#isSteered[parent] === 1)
      this.#reveal(parent, steering.childJoined(edge, this.#nowMs, this.#interestOf(edge)));
    else this.#wakeAt(member, this.#edgeReady[edge]);
  }

  #leave(member: number, slot: number): void {
    const edge = member * SLOTS + slot;
    const parent = this.#edgeParent[edge];
    if (parent === NONE) return;
    this.#edgeParent[edge] = NONE;
    this.#news[member] &= ~(1 << slot);
    this.#fallbacks[member] &= ~(1 << slot);
    this.#calledFallbacks[member] &= ~(1 << slot);
    this.#children.remove(parent, edge);
    const steering = this.#steering[parent];
    if (steering !== undefined && this.#isSteered[parent] === 1)
      this.#reveal(parent, steering.childLeft(edge, this.#nowMs));
    for (let lane = 0; lane < this.#lanes; lane++) {
      const transfer = this.#laneTransfer[member * this.#lanes + lane];
      if (transfer !== NONE && this.#parent[transfer] === parent && this.#slot[transfer] === slot)
        this.#abandon(transfer);
    }
    this.#pickers[member]?.removeParent(slot);
  }

  /** What a child that wants a part only says that it wants; undefined for everything. */
  #interestOf(edge: number): PieceSet | undefined {
    if (this.#settings.rangeShare === 1) return undefined;
    const member = edge >> SLOT_BITS;
    const wanted = new PieceSet();
    for (let piece = 0; piece < this.#pieces; piece++) if (this.#isWanted(member, piece)) wanted.add(piece);
    return wanted;
  }

  /** Tells children of pieces, each of its own. */
  #reveal(holder: number, reveals: readonly Reveal<number>[]): void {
    const steering = this.#steering[holder];
    if (steering?.isDone === true) return this.#openToAll(holder);
    for (const { child: edge, pieces } of reveals) {
      const member = edge >> SLOT_BITS;
      const latencyMs = this.#latency(this.#hostOf(holder), this.#hostOf(member)) / TICKS_PER_MS;
      const delayMs = Math.max(latencyMs, (this.#edgeReady[edge] - this.#tick) / TICKS_PER_MS);
      this.#toldEdges.get(holder)?.add(edge);
      for (const piece of pieces) this.#post('revealed', member, delayMs, (edge & (SLOTS - 1)) * 65536 + piece);
    }
  }

  /** Others have everything: from now on every child reads the log. */
  #openToAll(holder: number): void {
    if (this.#isSteered[holder] === 0) return;
    this.#isSteered[holder] = 0;
    this.#toldEdges.delete(holder);
    for (const edge of this.#children.of(holder)) {
      const member = edge >> SLOT_BITS;
      const heardTick = this.#tick + this.#latency(this.#hostOf(holder), this.#hostOf(member));
      this.#edgeReady[edge] = Math.max(this.#edgeReady[edge], heardTick);
      this.#wakeAt(member, this.#edgeReady[edge]);
    }
  }

  #learnRevealed(member: number, slot: number, piece: number): void {
    if (this.#edgeParent[member * SLOTS + slot] === NONE) return;
    // A fresh piece is taken beside whatever is coming.
    const picker = this.#pickers[member];
    if (picker?.announced(slot, piece) !== true) return;
    if (this.#isByTurns) this.#seekTurn(member, slot, picker);
    else if ((this.#news[member] & IS_HUNGRY) !== 0) this.#choose(member);
  }

  #wakeAt(member: number, tick: number): void {
    if (!this.#wakes.isSet(member) || this.#wakes.tickOf(member) > tick) this.#wakes.set(member, tick);
  }

  /** Reads what parents have said by now. @returns the tick at which the next word of theirs that is on its way arrives */
  #listen(member: number, picker: PiecePicker): number {
    let nextTick = Infinity;
    for (let rest = this.#news[member] & ALL_SLOTS; rest !== 0; rest &= rest - 1) {
      const slot = 31 - Math.clz32(rest & -rest);
      const edge = (member << SLOT_BITS) + slot;
      if (this.#edgeReady[edge] > this.#tick) {
        nextTick = Math.min(nextTick, this.#edgeReady[edge]);
        continue;
      }
      const parent = this.#edgeParent[edge];
      if (this.#isSteered[parent] === 1) continue;
      const latency = this.#isZoned ? this.#latency(this.#hostOf(member), this.#hostOf(parent)) : this.#latencyTicks;
      let at = parent * (this.#pieces + 1) + this.#edgeCursor[edge];
      // What was logged before this has been heard of.
      const unheard = (this.#tick - latency + 1) * PIECE_NUMBERS;
      let logged = this.#log[at];
      for (; logged < unheard; logged = this.#log[++at]) {
        const piece = logged & PIECE_MASK;
        picker.announced(slot, piece);
        if (!this.#isMesh) this.#collect(member, picker, piece);
      }
      this.#edgeCursor[edge] = at - parent * (this.#pieces + 1);
      if (logged === Infinity) this.#news[member] &= ~(1 << slot);
      else nextTick = Math.min(nextTick, Math.floor(logged / PIECE_NUMBERS) + latency);
    }
    return nextTick;
  }

  readonly #wantedOf = {
    offset: 0,
    has: (piece: number): boolean => (this.#wanted[this.#wantedOf.offset + (piece >>> 5)] & (1 << (piece & 31))) !== 0,
    wordAt: (index: number): number => this.#wanted[this.#wantedOf.offset + index],
  };

  /** Asks for leave to fetch from the origin when parents have brought nothing for long. @returns when that will be */
  #considerOrigin(member: number): number {
    if (!this.#isMesh || this.#outstanding[member] > 0 || this.#hasLease[member] > 0) return Infinity;
    const dueTick = Math.max(this.#lastPieceTick[member] + LATE_MS * TICKS_PER_MS, this.#leaseDueTick[member]);
    if (this.#tick < dueTick) return dueTick;
    this.#leaseDueTick[member] = this.#tick + LEASE_RETRY_MS * TICKS_PER_MS;
    this.#tell('leaseAsked', member);
    return this.#leaseDueTick[member];
  }

  /** Asks fallbacks as well when nothing has been under way for a while. @returns when that will be */
  #considerFallbacks(member: number, picker: PiecePicker): number {
    if (this.#fallbacks[member] === 0) return Infinity;
    if (this.#outstanding[member] > 0) {
      this.#idleSinceTick[member] = Infinity;
      return Infinity;
    }
    if (this.#idleSinceTick[member] === Infinity) this.#idleSinceTick[member] = this.#tick;
    const dueTick = this.#idleSinceTick[member] + FALLBACK_AFTER_MS * TICKS_PER_MS;
    if (this.#tick < dueTick) return dueTick;
    this.#calledFallbacks[member] |= this.#fallbacks[member];
    this.#fallbacks[member] = 0;
    this.#setFallbacksUsable(member, picker, this.#isByTurns);
    return Infinity;
  }

  #setFallbacksUsable(member: number, picker: PiecePicker, isUsable: boolean): void {
    for (let rest = this.#calledFallbacks[member]; rest !== 0; rest &= rest - 1)
      picker.setUsable(31 - Math.clz32(rest & -rest), isUsable);
  }

  /** Asks for as many pieces as the rules allow. @param isNews whether that is all that has changed: what parents said */
  #choose(member: number, { isNews }: { readonly isNews: boolean } = ANYTHING): void {
    const picker = this.#pickers[member];
    if (this.#state[member] !== FETCHING || picker === undefined) return;
    if (this.#isByTurns) {
      const host = this.#hostOf(member);
      this.#noteOpenness(host);
      const isHungry = this.#links.saidOpen(host);
      this.#setHungry(member, isHungry);
      if (!isHungry) {
        const slowTick = this.#links.slowTick(host);
        if (slowTick < Infinity) this.#wakeAt(member, Math.max(slowTick, this.#tick + 1));
        return;
      }
    }
    const unread = this.#news[member] & ALL_SLOTS;
    const nextTick = Math.min(
      this.#listen(member, picker),
      this.#considerFallbacks(member, picker),
      this.#considerOrigin(member),
    );
    if (this.#isByTurns) {
      const hedges = this.#hedges;
      const wakeTick = Math.min(nextTick, this.#hedge(member, picker));
      const isNarrow = isNews && hedges === this.#hedges;
      for (let rest = isNarrow ? unread : ALL_SLOTS; rest !== 0; rest &= rest - 1)
        this.#seekTurn(member, 31 - Math.clz32(rest & -rest), picker);
      if (wakeTick < Infinity) this.#wakeAt(member, Math.max(wakeTick, this.#tick + 1));
      return;
    }
    let wakeTick = nextTick;
    while (this.#outstanding[member] < this.#concurrency) {
      if (this.#isMesh) {
        const picked = this.#pick(member, picker);
        if (picked === undefined) break;
        this.#request(member, picked.slot, picked.pieceNumber);
      } else {
        const tick = this.#chooseStock(member, picker);
        wakeTick = Math.min(wakeTick, tick);
        if (tick !== -1) break;
        wakeTick = nextTick;
      }
    }
    this.#setHungry(member, this.#outstanding[member] < this.#concurrency);
    if (this.#isMesh) wakeTick = Math.min(wakeTick, this.#hedge(member, picker));
    if (wakeTick < Infinity) this.#wakeAt(member, Math.max(wakeTick, this.#tick + 1));
  }

  #setHungry(member: number, isHungry: boolean): void {
    if (isHungry) this.#news[member] |= IS_HUNGRY;
    else this.#news[member] &= ~IS_HUNGRY;
  }

  #isAllAsked(member: number): boolean {
    for (let word = member * this.#words; word < (member + 1) * this.#words; word++)
      if (this.#wanted[word] !== 0) return false;
    return this.#missing[member] > 0;
  }

  /** Neighbours first, then those who are there for what these do not bring. */
  #pick(member: number, picker: PiecePicker): PickedPiece | undefined {
    const { maxPerParent, maxPerPartialParent } = this.#settings.daemon;
    const rule = { ...this.#ruleOf(member), maxPerParent: maxPerPartialParent };
    const limit = maxPerParent > maxPerPartialParent && this.#hasCompleteParent(member) ? maxPerParent : undefined;
    const picked = picker.pick(rule) ?? (limit === undefined ? undefined : this.#pickComplete(member, picker, limit));
    if (picked !== undefined || this.#calledFallbacks[member] === 0) return picked;
    this.#setFallbacksUsable(member, picker, true);
    const second = picker.pick(rule);
    this.#setFallbacksUsable(member, picker, false);
    return second;
  }

  #isComplete(parent: number): boolean {
    return this.#state[parent] === DONE || this.#logCount[parent] === this.#pieces;
  }

  #hasCompleteParent(member: number): boolean {
    for (let slot = 0; slot < SLOTS; slot++) {
      const parent = this.#edgeParent[(member << SLOT_BITS) + slot];
      if (parent !== NONE && this.#isComplete(parent)) return true;
    }
    return false;
  }

  /** A parent that has everything is asked for more at a time. */
  #pickComplete(member: number, picker: PiecePicker, limit: number): PickedPiece | undefined {
    for (let slot = 0; slot < SLOTS; slot++) {
      const parent = this.#edgeParent[(member << SLOT_BITS) + slot];
      if (parent === NONE || !this.#isComplete(parent) || picker.inFlight(slot) >= limit) continue;
      const pieceNumber = picker.pickFrom(slot, this.#ruleOf(member));
      if (pieceNumber >= 0) return { pieceNumber, slot };
    }
    return undefined;
  }

  /** Has somebody else asked as well for what takes several times as long as pieces do. @returns when to look again */
  #hedge(member: number, picker: PiecePicker): number {
    if (this.#outstanding[member] === 0 || this.#typicalRate[member] === 0) return Infinity;
    const isEndgame = this.#isAllAsked(member);
    const typicalTicks = this.#isByTurns
      ? this.#links.typicalDownload(this.#hostOf(member))
      : this.#settings.pieceBytes / this.#typicalRate[member];
    const [times, graceMs] = isEndgame ? ENDGAME_PATIENCE : PATIENCE;
    const patience = Math.min(typicalTicks * times + graceMs * TICKS_PER_MS, SILENCE_MS * TICKS_PER_MS);
    let nextTick = Infinity;
    for (let transfer = member * this.#lanes; transfer < (member + 1) * this.#lanes; transfer++) {
      const phase = this.#phase[transfer];
      if (phase !== ASKED && phase !== QUEUED && phase !== BOOKED && phase !== SENDING && phase !== DROPPED) continue;
      if (this.#parent[transfer] === NONE || this.#isHedged[transfer] === 1) continue;
      if (this.#tick - this.#askedTick[transfer] < patience) {
        nextTick = Math.min(nextTick, this.#askedTick[transfer] + patience);
        continue;
      }
      const leftTicks = phase === SENDING ? this.#shares.remainingTicks(transfer, this.#tick) : Infinity;
      if (leftTicks <= patience) continue;
      if (this.#isByTurns) {
        if (this.#hedgesOf(member) >= MAX_HEDGES) continue;
        // Whoever has a turn to give may bring it.
        this.#isHedged[transfer] = 1;
        this.#hedges++;
        this.#wish(member, this.#piece[transfer]);
        continue;
      }
      if (this.#outstanding[member] >= this.#lanes) continue;
      const piece = this.#piece[transfer];
      const slot = picker.pickHolder(piece, MAX_PER_PARENT_HEDGED, (candidate) => candidate === this.#slot[transfer]);
      if (slot < 0) {
        nextTick = Math.min(nextTick, this.#tick + HEDGE_CHECK_MS * TICKS_PER_MS);
        continue;
      }
      this.#isHedged[transfer] = 1;
      this.#hedges++;
      this.#request(member, slot, piece);
    }
    return nextTick;
  }

  #hedgesOf(member: number): number {
    let hedges = 0;
    for (let transfer = member * this.#lanes; transfer < (member + 1) * this.#lanes; transfer++)
      if (this.#phase[transfer] !== FREE && this.#isHedged[transfer] === 1) hedges++;
    return hedges;
  }

  /** Notes what a transfer brought, and lets parents count accordingly. */
  #measure(transfer: number): void {
    const member = this.#child[transfer];
    const edge = (member << SLOT_BITS) + this.#slot[transfer];
    if (this.#edgeParent[edge] !== this.#parent[transfer]) return;
    const rate = this.#settings.pieceBytes / Math.max(this.#tick - this.#askedTick[transfer], 1);
    const smoothed = (before: number): number => (before === 0 ? rate : before + RATE_SMOOTHING * (rate - before));
    const typical = (this.#typicalRate[member] = smoothed(this.#typicalRate[member]));
    const own = (this.#edgeRate[edge] = smoothed(this.#edgeRate[edge]));
    if (this.#isByTurns) return;
    const { latencyMs } = this.#settings;
    const isNear =
      this.#isZoned &&
      this.#latency(this.#hostOf(member), this.#hostOf(this.#parent[transfer])) <= latencyMs * TICKS_PER_MS;
    const [least, most] = RATE_BOUNDS;
    const factor = Math.min(Math.max(own / typical, least), most);
    this.#pickers[member]?.setWeight(this.#slot[transfer], factor * (isNear ? SAME_ZONE_WEIGHT : 1));
  }

  /** A stock daemon takes a piece up once all of its parents have it, or a while after the first one. */
  #collect(member: number, picker: PiecePicker, piece: number): void {
    const at = member * this.#pieces + piece;
    if (this.#readyTick[at] === 0) this.#readyTick[at] = this.#tick + this.#settings.stock.collectMs * TICKS_PER_MS;
    let parents = 0;
    for (let slot = 0; slot < SLOTS; slot++) if (this.#edgeParent[(member << SLOT_BITS) + slot] !== NONE) parents++;
    if (picker.holdersOf(piece) >= parents) this.#readyTick[at] = Math.min(this.#readyTick[at], this.#tick);
  }

  /** As stock daemons choose: pieces in the order in which they were taken up, the parent by its idle bandwidth. @returns -1 when it asked, else when to try again */
  #chooseStock(member: number, picker: PiecePicker): number {
    const isAnyOrder = this.#settings.stock.order === 'random';
    let soonest = Infinity;
    let chosen = NONE;
    let ready = 0;
    for (let word = 0; word < this.#words; word++) {
      for (let rest = this.#wanted[member * this.#words + word]; rest !== 0; rest &= rest - 1) {
        const piece = word * 32 + 31 - Math.clz32(rest & -rest);
        const readyTick = this.#readyTick[member * this.#pieces + piece];
        if (readyTick === 0 || picker.holdersOf(piece) === 0) continue;
        if (isAnyOrder && readyTick <= this.#tick) {
          soonest = readyTick;
          if (this.#random() * ++ready < 1) chosen = piece;
        } else if (readyTick < soonest) {
          soonest = readyTick;
          chosen = piece;
        }
      }
    }
    if (chosen === NONE || soonest > this.#tick) return soonest;
    this.#request(member, this.#drawParent(member, picker, chosen), chosen);
    return -1;
  }

  #drawParent(member: number, picker: PiecePicker, piece: number): number {
    let sum = 0;
    let drawn = NONE;
    for (let slot = 0; slot < SLOTS; slot++) {
      const parent = this.#edgeParent[member * SLOTS + slot];
      if (parent === NONE || !picker.has(slot, piece)) continue;
      const rate = this.#rateOf[this.#hostOf(parent)];
      const weight = Math.max(rate - this.#shares.uploadRate(this.#hostOf(parent)), rate / 10);
      sum += weight;
      if (this.#random() * sum < weight) drawn = slot;
    }
    return drawn;
  }

  #ruleOf(member: number): Pick<PickRule, 'wanted' | 'order' | 'hot'> {
    const order = this.#logCount[member] < this.#settings.daemon.randomPieces ? 'random' : 'rarest';
    return { wanted: this.#wantedBy(member), order, hot: this.#hotPieces.get(member) };
  }

  #wantedBy(member: number): PickRule['wanted'] {
    this.#wantedOf.offset = member * this.#words;
    return this.#wantedOf;
  }

  #request(member: number, slot: number, piece: number): void {
    const transfer = this.#newTransfer(member, slot);
    if (transfer === NONE) return;
    this.#take(transfer, piece);
  }

  /** @returns NONE when the member has as many as it can */
  #newTransfer(member: number, slot: number): number {
    for (let transfer = member * this.#lanes; transfer < (member + 1) * this.#lanes; transfer++) {
      if (this.#phase[transfer] !== FREE) continue;
      this.#laneTransfer[transfer] = transfer;
      this.#child[transfer] = member;
      this.#slot[transfer] = slot;
      this.#parent[transfer] = this.#edgeParent[member * SLOTS + slot];
      this.#piece[transfer] = NO_PIECE;
      this.#isHedged[transfer] = 0;
      return transfer;
    }
    return NONE;
  }

  /** The child asks for this piece. */
  #take(transfer: number, piece: number): void {
    const member = this.#child[transfer];
    this.#unwish(member, piece);
    this.#phase[transfer] = ASKED;
    this.#piece[transfer] = piece;
    this.#askedTick[transfer] = this.#tick;
    this.#outstanding[member]++;
    this.#pickers[member]?.begun(this.#slot[transfer]);
    this.#links.expect(this.#hostOf(member), 1);
    this.#travel(transfer);
  }

  /** Word of the transfer is on its way from one end to the other. */
  #travel(transfer: number): void {
    const latency = this.#latency(this.#hostOf(this.#child[transfer]), this.#hostOf(this.#parent[transfer]));
    this.#transfers.set(transfer, this.#tick + latency);
  }

  // Turns.

  /** Parents hear, later, whether the host takes offers. */
  #noteOpenness(host: number): void {
    if (!this.#isByTurns || !this.#links.sayOpenness(host, this.#tick)) return;
    for (let member = host; member < this.#members; member += this.#hosts) this.#choose(member);
  }

  /** Tells the parent in this slot, if it has a turn to give, that its child would take it. */
  #seekTurn(member: number, slot: number, picker: PiecePicker): void {
    const parent = this.#edgeParent[(member << SLOT_BITS) + slot];
    if (parent === NONE) return;
    const host = this.#hostOf(parent);
    if (!this.#links.hasTurn(host, this.#tick)) return;
    const tick = this.#tick + this.#latency(host, this.#hostOf(member));
    if (this.#turns.isSet(host) && this.#turns.tickOf(host) <= tick) return;
    if (picker.hasFor(slot, this.#wantedBy(member))) this.#turns.set(host, tick);
  }

  #offerTurn(host: number): void {
    if (!this.#isByTurns || !this.#links.hasTurn(host, this.#tick)) return;
    const edge = this.#drawChild(host);
    if (edge === NONE) return;
    const transfer = this.#newTransfer(edge >> SLOT_BITS, edge & (SLOTS - 1));
    this.#phase[transfer] = OFFERED;
    this.#links.promise(host, 1);
    this.#travel(transfer);
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
        const member = ((firstTask + turn) % tasks) * this.#hosts + host;
        if (this.#isSteered[member] < isFresh) continue;
        const told = this.#isSteered[member] === 1 ? this.#toldEdges.get(member) : undefined;
        const edge = drawChild(
          told === undefined ? this.#children.of(member) : [...told],
          (child) => this.#isOffer(child, host, isFresh),
          this.#random,
        );
        if (edge !== undefined) return edge;
      }
    }
    return NONE;
  }

  #isOffer(edge: number, host: number, isFresh: number): boolean {
    const child = edge >> SLOT_BITS;
    const childHost = this.#hostOf(child);
    if (isFresh === 0 && !this.#links.wasOpen(childHost, this.#tick - this.#latency(host, childHost))) return false;
    if (this.#state[child] !== FETCHING) return false;
    // Who was told of something may have left since, and its place been taken.
    const parent = this.#edgeParent[edge];
    if (parent === NONE || this.#hostOf(parent) !== host) return false;
    const hasSome = this.#pickers[child]?.hasFor(edge & (SLOTS - 1), this.#wantedBy(child)) === true;
    return hasSome && this.#hasLane(child);
  }

  #hasLane(member: number): boolean {
    for (let transfer = member * this.#lanes; transfer < (member + 1) * this.#lanes; transfer++)
      if (this.#phase[transfer] === FREE) return true;
    return false;
  }

  /** The offer of a turn has arrived: the child holds on to it, or declines at once. */
  #answerOffer(transfer: number): void {
    const member = this.#child[transfer];
    const host = this.#hostOf(member);
    const picker = this.#pickers[member];
    if (picker !== undefined && this.#state[member] === FETCHING && this.#mayTake(transfer, host)) {
      this.#listen(member, picker);
      if (picker.hasFor(this.#slot[transfer], this.#wantedBy(member))) {
        this.#phase[transfer] = HELD;
        this.#links.expect(host, 1);
        this.#noteOpenness(host);
        return this.#takeInTime(transfer);
      }
    }
    this.#phase[transfer] = DECLINED;
    this.#travel(transfer);
  }

  #mayTake(transfer: number, host: number): boolean {
    this.#isBeside[transfer] = 0;
    if (this.#links.isOpen(host, this.#tick)) return true;
    const parent = this.#parent[transfer];
    if (this.#isSteered[parent] === 0) return false;
    const lastsMs = this.#shares.downloadsEndIn(host, this.#tick) / TICKS_PER_MS;
    const inMs = this.#shares.uploadEndsIn(this.#hostOf(parent), this.#tick) / TICKS_PER_MS;
    this.#isBeside[transfer] = lastsMs > inMs + TURN_RULES.sourceSlackMs ? 1 : 0;
    return this.#links.mayTakeFromSource(host, this.#tick, lastsMs, inMs);
  }

  /** Takes the turn so that its piece follows what is coming without a gap, and chooses the piece then. */
  #takeInTime(transfer: number): void {
    const member = this.#child[transfer];
    const host = this.#hostOf(member);
    if (this.#isBeside[transfer] === 0) {
      const latency = this.#latency(host, this.#hostOf(this.#parent[transfer]));
      const waitTicks = this.#shares.downloadEndsIn(host, this.#tick) + SAFETY_TICKS - latency;
      if (waitTicks > 1) return this.#transfers.set(transfer, this.#tick + waitTicks);
    }
    const picker = this.#pickers[member];
    let piece = NONE;
    if (picker !== undefined) {
      this.#listen(member, picker);
      piece = picker.pickFrom(this.#slot[transfer], this.#ruleOf(member));
    }
    this.#links.expect(host, -1);
    if (piece >= 0) return this.#take(transfer, piece);
    this.#phase[transfer] = DECLINED;
    this.#noteOpenness(host);
    this.#travel(transfer);
  }

  // What becomes of transfers.

  #move(transfer: number): void {
    switch (this.#phase[transfer]) {
      case OFFERED:
        return this.#answerOffer(transfer);
      case DECLINED: {
        const host = this.#hostOf(this.#parent[transfer]);
        this.#release(transfer);
        return this.#offerTurn(host);
      }
      case ASKED:
        return this.#asked(transfer);
      case HELD:
        return this.#takeInTime(transfer);
      case BOOKED:
        return this.#begin(transfer);
      case SENDING:
        return this.#isByTurns && this.#parent[transfer] !== NONE ? this.#ending(transfer) : this.#sent(transfer);
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
    const parent = this.#parent[transfer];
    const host = this.#hostOf(parent);
    this.#steering[parent]?.pieceAsked(
      this.#child[transfer] * SLOTS + this.#slot[transfer],
      this.#piece[transfer],
      this.#nowMs,
    );
    if (this.#isByTurns) return this.#begin(transfer);
    this.#enqueue(host, transfer);
    this.#serveNext(host);
  }

  /** Begins a turn that was taken as soon as the uplink is free. */
  #begin(transfer: number): void {
    this.#phase[transfer] = BOOKED;
    const waitTicks = this.#shares.uploadEndsIn(this.#hostOf(this.#parent[transfer]), this.#tick);
    if (waitTicks <= 1) this.#send(transfer);
    else this.#transfers.set(transfer, this.#tick + waitTicks);
  }

  #send(transfer: number): void {
    const from = this.#hostOf(this.#parent[transfer]);
    const to = this.#hostOf(this.#child[transfer]);
    this.#leavePlace(transfer);
    this.#phase[transfer] = SENDING;
    this.#links.begin(from, to, this.#tick);
    if (this.#isByTurns) this.#askedTick[transfer] = this.#tick;
    this.#shares.start(transfer, from, to, this.#settings.pieceBytes, this.#tick, this.#markOf(transfer));
    this.#noteOpenness(to);
    if (this.#isByTurns) this.#offerTurn(from);
  }

  /** Bytes of which the rest of a piece consists when the next turn may be given. */
  #markOf(transfer: number): number {
    if (!this.#isByTurns) return 0;
    const parent = this.#parent[transfer];
    const leadMs = this.#isSteered[parent] === 1 ? TURN_RULES.sourceLeadMs : TURN_RULES.leadMs;
    return this.#rateOf[this.#hostOf(parent)] * leadMs * TICKS_PER_MS;
  }

  /** Nearly sent: the next turn is offered, so that its piece follows without a gap. */
  #ending(transfer: number): void {
    this.#leavePlace(transfer);
    this.#phase[transfer] = ENDING;
    this.#shares.pass(transfer, this.#tick);
    this.#noteOpenness(this.#hostOf(this.#child[transfer]));
    this.#offerTurn(this.#hostOf(this.#parent[transfer]));
  }

  #sent(transfer: number): void {
    const member = this.#child[transfer];
    const parent = this.#parent[transfer];
    this.#shares.stop(transfer, this.#tick);
    this.#leavePlace(transfer);
    this.#phase[transfer] = LANDING;
    if (parent === NONE) {
      this.#originBytes += this.#settings.pieceBytes;
      this.#landed(transfer);
      this.#fetchFromOrigin(member);
      return;
    }
    const host = this.#hostOf(parent);
    this.#links.took(host, this.#hostOf(member), this.#tick - this.#askedTick[transfer]);
    this.#travel(transfer);
    const steering = this.#steering[parent];
    if (steering !== undefined) {
      const reveals = steering.pieceSent(member * SLOTS + this.#slot[transfer], this.#piece[transfer], this.#nowMs);
      this.#reveal(parent, reveals);
      this.#fetchFromOrigin(parent);
    }
    this.#serveNext(host);
  }

  /** Gives up what the transfer holds at its two ends, as its phase says. */
  #leavePlace(transfer: number): void {
    const parent = this.#parent[transfer];
    if (parent === NONE) return;
    const from = this.#hostOf(parent);
    const to = this.#hostOf(this.#child[transfer]);
    const phase = this.#phase[transfer];
    if (phase === OFFERED || phase === DECLINED || phase === HELD) {
      this.#links.promise(from, -1);
      if (phase === HELD) this.#links.expect(to, -1);
    } else if (phase === ASKED || phase === BOOKED || phase === QUEUED) {
      this.#links.expect(to, -1);
      if (this.#isByTurns) this.#links.promise(from, -1);
    } else if (phase === SENDING) {
      this.#links.end(from, to, this.#askedTick[transfer]);
    }
  }

  /** Lets begin what may begin. */
  #serveNext(host: number): void {
    if (this.#isByTurns) return this.#offerTurn(host);
    const slots = this.#uploadSlots;
    while (this.#isAlive[host] === 1 && this.#links.sending(host) < slots) {
      const transfer = this.#queueHead[host];
      if (transfer === NONE) return;
      this.#dequeue(host, transfer);
      this.#lineUpAgain(host, this.#child[transfer]);
      this.#send(transfer);
    }
  }

  /** Behind what the same child waits for already; else at the end. */
  #enqueue(host: number, transfer: number): void {
    this.#phase[transfer] = QUEUED;
    let before = this.#queueTail[host];
    if (this.#isMesh) {
      const child = this.#hostOf(this.#child[transfer]);
      while (before !== NONE && this.#hostOf(this.#child[before]) !== child) before = this.#queuePrevious[before];
      if (before === NONE) before = this.#queueTail[host];
    }
    const after = before === NONE ? NONE : this.#queueNext[before];
    this.#queueNext[transfer] = after;
    this.#queuePrevious[transfer] = before;
    if (before === NONE) this.#queueHead[host] = transfer;
    else this.#queueNext[before] = transfer;
    if (after === NONE) this.#queueTail[host] = transfer;
    else this.#queuePrevious[after] = transfer;
  }

  /** A child that has had its turn comes last with what else it asked for. */
  #lineUpAgain(host: number, member: number): void {
    if (!this.#isMesh) return;
    const child = this.#hostOf(member);
    const line: number[] = [];
    for (let transfer = this.#queueHead[host]; transfer !== NONE; transfer = this.#queueNext[transfer])
      if (this.#hostOf(this.#child[transfer]) === child) line.push(transfer);
    for (const transfer of line) this.#dequeue(host, transfer);
    for (const transfer of line) this.#enqueue(host, transfer);
  }

  #dequeue(host: number, transfer: number): void {
    const next = this.#queueNext[transfer];
    const previous = this.#queuePrevious[transfer];
    if (previous === NONE) this.#queueHead[host] = next;
    else this.#queueNext[previous] = next;
    if (next === NONE) this.#queueTail[host] = previous;
    else this.#queuePrevious[next] = previous;
  }

  #landed(transfer: number): void {
    const member = this.#child[transfer];
    const piece = this.#piece[transfer];
    const parent = this.#parent[transfer];
    if (parent !== NONE && this.#isMesh) this.#measure(transfer);
    this.#release(transfer);
    if (this.#has(member, piece)) return;
    for (let lane = 0; lane < this.#lanes; lane++) {
      const other = this.#laneTransfer[member * this.#lanes + lane];
      if (other !== NONE && this.#piece[other] === piece) this.#cancel(other);
    }
    this.#keep(member, piece, parent);
    this.#lastPieceTick[member] = this.#tick;
    this.#unwish(member, piece);
    this.#missing[member]--;
    this.#piecesDelivered++;
    const host = this.#hostOf(member);
    if (parent !== NONE && this.#zoneOf[host] !== this.#zoneOf[this.#hostOf(parent)])
      this.#crossZoneBytes += this.#settings.pieceBytes;
    const steering = this.#steering[member];
    if (steering !== undefined) {
      const revealed = steering.pieceHeld(piece, this.#nowMs);
      if (this.#isSteered[member] === 1) this.#reveal(member, revealed);
    }
    this.#spread(member, piece);
    if (this.#missing[member] === 0) this.#finish(member);
    else {
      if (!this.#isMesh) this.#tell('report', member);
      else if (this.#isReporting[member] === 0) {
        this.#isReporting[member] = 1;
        this.#post('report', member, this.#settings.daemon.reportIntervalMs + this.#toSchedulerMs(host));
      }
      this.#choose(member);
    }
  }

  /** Children have something to read, and those that wait for news wake when the word has reached them. */
  #spread(member: number, piece: number): void {
    const isSilent = this.#isSteered[member] === 1;
    const host = this.#hostOf(member);
    for (const edge of this.#children.of(member)) {
      const child = edge >> SLOT_BITS;
      const news = (this.#news[child] |= 1 << (edge & (SLOTS - 1)));
      if (!isSilent && (news & IS_HUNGRY) !== 0 && this.#isWanted(child, piece))
        this.#wakeAt(child, this.#tick + this.#latency(host, this.#hostOf(child)));
    }
  }

  #finish(member: number): void {
    this.#state[member] = DONE;
    this.#doneTick[member] = this.#tick;
    this.#setHungry(member, false);
    for (let slot = 0; slot < SLOTS; slot++) this.#leave(member, slot);
    this.#pickers[member] = undefined;
    if (this.#hostOf(member) < this.#settings.peers) this.#unfinished--;
    this.#tell('finished', member);
  }

  /** The transfer is over, whatever came of it, and its lane free. */
  #release(transfer: number): void {
    const member = this.#child[transfer];
    const phase = this.#phase[transfer];
    this.#leavePlace(transfer);
    this.#phase[transfer] = FREE;
    this.#laneTransfer[transfer] = NONE;
    if (this.#parent[transfer] === NONE || phase === OFFERED || phase === DECLINED || phase === HELD) return;
    this.#outstanding[member]--;
    this.#pickers[member]?.ended(this.#slot[transfer]);
  }

  /** The child lets go of what is under way. */
  #cancel(transfer: number): void {
    const parent = this.#parent[transfer];
    const phase = this.#phase[transfer];
    const host = parent === NONE ? this.#hosts : this.#hostOf(parent);
    this.#transfers.cancel(transfer);
    if (phase === QUEUED) this.#dequeue(host, transfer);
    if (phase === SENDING || phase === ENDING) {
      const left = this.#shares.stop(transfer, this.#tick);
      if (parent === NONE) this.#originBytes += this.#settings.pieceBytes - left;
    }
    this.#release(transfer);
    if (parent === NONE || phase === LANDING || phase === DROPPED) return;
    if (phase !== QUEUED) this.#serveNext(host);
    if (this.#isByTurns) this.#noteOpenness(this.#hostOf(this.#child[transfer]));
  }

  /** As cancel; the piece is wanted again. */
  #abandon(transfer: number): void {
    const member = this.#child[transfer];
    const piece = this.#piece[transfer];
    this.#cancel(transfer);
    if (piece !== NO_PIECE && !this.#has(member, piece)) this.#wish(member, piece);
  }

  // What goes wrong.

  #hostDies(host: number): void {
    this.#isAlive[host] = 0;
    this.#links.mute(host);
    this.#post('hostLost', host, this.#toSchedulerMs(host));
    for (let task = 0; task < this.#settings.tasks; task++) {
      const member = task * this.#hosts + host;
      for (const edge of this.#children.of(member)) {
        const child = edge >> SLOT_BITS;
        this.#post('parentGone', child, this.#latency(host, this.#hostOf(child)) / TICKS_PER_MS, edge & (SLOTS - 1));
        for (let lane = 0; lane < this.#lanes; lane++) {
          const transfer = this.#laneTransfer[child * this.#lanes + lane];
          if (transfer === NONE || this.#parent[transfer] !== member) continue;
          const phase = this.#phase[transfer];
          if (phase === LANDING) continue;
          if (phase === SENDING || phase === ENDING) this.#shares.stop(transfer, this.#tick);
          if (phase === QUEUED) this.#dequeue(host, transfer);
          this.#transfers.cancel(transfer);
          this.#leavePlace(transfer);
          if (phase === OFFERED || phase === DECLINED || phase === HELD) {
            this.#phase[transfer] = FREE;
            this.#laneTransfer[transfer] = NONE;
            continue;
          }
          this.#phase[transfer] = DROPPED;
        }
      }
      for (let lane = 0; lane < this.#lanes; lane++) {
        const transfer = this.#laneTransfer[member * this.#lanes + lane];
        if (transfer !== NONE) this.#abandon(transfer);
      }
      if (this.#state[member] !== DONE && host < this.#settings.peers && this.#state[member] !== IDLE)
        this.#unfinished--;
      this.#state[member] = IDLE;
    }
  }

  #parentGone(member: number, slot: number): void {
    const parent = this.#edgeParent[member * SLOTS + slot];
    if (parent === NONE || this.#isAlive[this.#hostOf(parent)] === 1) return;
    this.#leave(member, slot);
    // What was coming from there does not any more.
    this.#noteOpenness(this.#hostOf(member));
    this.#tell('parentFailed', member, parent);
    let parents = 0;
    for (let other = 0; other < SLOTS; other++) if (this.#edgeParent[member * SLOTS + other] !== NONE) parents++;
    if (parents === 0) this.#tell('reschedule', member);
    else this.#choose(member);
  }

  #schedulerStarts(): void {
    this.#isSchedulerUp = true;
    this.#swarm = this.#newSwarm();
    for (let host = 0; host < this.#hosts; host++) {
      if (this.#isAlive[host] === 0) continue;
      // Whose stream broke comes back at once, but not all in the same moment.
      const delayMs = this.#random() * 200 + this.#toSchedulerMs(host);
      this.#post('link', host, delayMs);
      for (let task = 0; task < this.#settings.tasks; task++) {
        const member = task * this.#hosts + host;
        if (this.#state[member] === IDLE) continue;
        this.#post('register', member, delayMs);
      }
    }
  }
}

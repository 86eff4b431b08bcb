// Who owns what: the simulation owns the virtual clock, the hosts with their links, and one member per host and task, which is that
// host's download: its pieces, its neighbours, what is under way to it. Members know of each other only what messages told them: a piece
// that a parent got counts for its child only once the announcement has travelled. To save the events of those announcements, a
// child reads its parents' logs of (piece, time) as far as word can have reached it. The scheduler is the real one, behind latency.
import type { ReadonlyPieceSet } from '@d7y/piece';
import { PieceSet } from '@d7y/piece';
import type { Decision, OfferedParent, PickRule, Reveal, SwarmOptions } from '@d7y/swarm';
import { PiecePicker, Steering, Swarm } from '@d7y/swarm';
import { EventWheel } from './event-wheel.ts';
import { LinkShares } from './link-shares.ts';
import { seededRandom } from './random.ts';
import type { Settings } from './settings.ts';
import { optimumMs } from './settings.ts';

/** Virtual time goes in ticks of 20 µs. */
export const TICKS_PER_MS = 50;
const SWARM_TICK_MS = 100;
/** Parents that a member has at once, at most. */
const SLOTS = 16;
/** A second parent may be asked for so many pieces at once. */
const MAX_HEDGES = 4;
/** A link of which so much is in use is full. */
const ENOUGH_USE = 0.7;
/** Pieces that a host receives at once with turns, when their senders are slow. */
const MAX_RECEIVING = 4;
const NO_PIECE = 65535;
/** Stock daemons take a piece from anybody who has it after so long, before that only once all parents have it. */
const STOCK_COLLECT_MS = 100;
const STEERING_TICK_MS = 250;
/** Fallbacks are asked when no piece came for so long. */
const FALLBACK_AFTER_MS = 300;
/** The scheduler is asked for leave to fetch from the origin when no piece came for so long, and again while it refuses. */
const LATE_MS = 5_000;
const LEASE_RETRY_MS = 1_000;
const NONE = -1;

// Phases of a transfer. With turns: offered by the parent, then taken or declined by the child, then sent.
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
  /** Offered or promised, and not yet sent. */
  readonly #promised: Int32Array;
  /** Sent or received at this moment, but for what is nearly over. */
  readonly #sending: Int32Array;
  readonly #receiving: Int32Array;
  /** Taken up, and not yet coming. */
  readonly #expecting: Int32Array;
  readonly #isOpenToOffers: Uint8Array;
  readonly #openSinceTick: Float64Array;
  readonly #closedSinceTick: Float64Array;

  // Members.
  readonly #state: Uint8Array;
  readonly #have: Uint32Array;
  readonly #wanted: Uint32Array;
  readonly #missing: Int32Array;
  readonly #logPiece: Uint16Array;
  readonly #logTick: Uint32Array;
  readonly #logSlotParent: Int32Array;
  readonly #logCount: Int32Array;
  readonly #reported: Int32Array;
  readonly #isReporting: Uint8Array;
  readonly #outstanding: Int32Array;
  readonly #isHungry: Uint8Array;
  readonly #hasFallback: Uint8Array;
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
  readonly #firstHeardTick: Uint32Array;
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
  readonly #edgeReady: Float64Array;
  readonly #edgeIsFallback: Uint8Array;
  readonly #edgeNext: Int32Array;
  readonly #edgePrevious: Int32Array;
  readonly #childHead: Int32Array;

  // Transfers.
  readonly #phase: Uint8Array;
  readonly #child: Int32Array;
  readonly #slot: Uint8Array;
  readonly #parent: Int32Array;
  readonly #piece: Uint16Array;
  readonly #askedTick: Float64Array;
  readonly #queueNext: Int32Array;
  readonly #queuePrevious: Int32Array;

  readonly #transfers: EventWheel;
  readonly #shares: LinkShares;
  readonly #wakes: EventWheel;
  /** When a host looks for whom to offer its turn. */
  readonly #turns: EventWheel;
  readonly #isByTurns: boolean;
  readonly #leadBytes: number;
  readonly #mail: EventWheel;
  readonly #letterKind: (LetterKind | undefined)[] = [];
  readonly #letterMember: number[] = [];
  readonly #letterNumber: number[] = [];
  readonly #letterDecision: (Decision | undefined)[] = [];
  readonly #freeLetters: number[] = [];

  #drawn = new Int32Array(64);
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
    this.#leadBytes = (settings.rateBitsPerSec / 8000) * settings.daemon.turnLeadMs;
    this.#concurrency = settings.daemon.concurrency;
    this.#lanes = this.#concurrency + MAX_HEDGES;

    this.#zoneOf = new Uint8Array(hosts + 1);
    this.#isAlive = new Uint8Array(hosts + 1).fill(1);
    this.#isNormal = new Uint8Array(hosts).fill(1);
    this.#isLeech = new Uint8Array(hosts);
    this.#rateOf = new Float64Array(hosts + 1);
    this.#queueHead = new Int32Array(hosts).fill(NONE);
    this.#queueTail = new Int32Array(hosts).fill(NONE);
    this.#promised = new Int32Array(hosts + 1);
    this.#sending = new Int32Array(hosts + 1);
    this.#receiving = new Int32Array(hosts);
    this.#expecting = new Int32Array(hosts);
    this.#isOpenToOffers = new Uint8Array(hosts).fill(1);
    this.#openSinceTick = new Float64Array(hosts).fill(-Infinity);
    this.#closedSinceTick = new Float64Array(hosts).fill(-Infinity);
    this.#turns = new EventWheel(hosts);

    this.#state = new Uint8Array(members);
    this.#have = new Uint32Array(members * words);
    this.#wanted = new Uint32Array(members * words);
    this.#missing = new Int32Array(members);
    this.#logPiece = new Uint16Array(members * pieces);
    this.#logTick = new Uint32Array(members * pieces);
    this.#logSlotParent = new Int32Array(members * pieces);
    this.#logCount = new Int32Array(members);
    this.#reported = new Int32Array(members);
    this.#isReporting = new Uint8Array(members);
    this.#outstanding = new Int32Array(members);
    this.#isHungry = new Uint8Array(members);
    this.#hasFallback = new Uint8Array(members);
    this.#lastPieceTick = new Float64Array(members);
    this.#hasLease = new Uint8Array(members);
    this.#leaseDueTick = new Float64Array(members);
    this.#isRegistering = new Uint8Array(members);
    this.#startTick = new Float64Array(members);
    this.#firstWanted = new Uint16Array(members);
    this.#doneTick = new Float64Array(members).fill(Infinity);
    this.#originNext = new Int32Array(members).fill(NONE);
    this.#laneTransfer = new Int32Array(members * this.#lanes).fill(NONE);
    this.#firstHeardTick = new Uint32Array(this.#isMesh ? 0 : members * pieces);
    this.#pickers = new Array<PiecePicker | undefined>(members).fill(undefined);
    this.#steering = new Array<Steering<number> | undefined>(members).fill(undefined);
    this.#isSteered = new Uint8Array(members);

    const edges = members * SLOTS;
    this.#edgeParent = new Int32Array(edges).fill(NONE);
    this.#edgeCursor = new Uint16Array(edges);
    this.#edgeReady = new Float64Array(edges);
    this.#edgeIsFallback = new Uint8Array(edges);
    this.#edgeNext = new Int32Array(edges).fill(NONE);
    this.#edgePrevious = new Int32Array(edges).fill(NONE);
    this.#childHead = new Int32Array(members).fill(NONE);

    // The transfers of a member are its lanes.
    const transfers = members * this.#lanes;
    this.#phase = new Uint8Array(transfers);
    this.#child = new Int32Array(transfers);
    this.#slot = new Uint8Array(transfers);
    this.#parent = new Int32Array(transfers);
    this.#piece = new Uint16Array(transfers);
    this.#askedTick = new Float64Array(transfers);
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
      this.#choose(member);
    for (let host = this.#turns.take(this.#tick); host !== NONE; host = this.#turns.take(this.#tick))
      this.#offerTurn(host);
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
      const from = scenario === 'rolling' ? this.#startTick[host] : this.#firstTick;
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
    const entry = member * this.#pieces + this.#logCount[member]++;
    this.#logPiece[entry] = piece;
    this.#logTick[entry] = this.#tick;
    this.#logSlotParent[entry] = parent;
  }

  // Time and letters.

  get #nowMs(): number {
    return this.#tick / TICKS_PER_MS;
  }

  #hostOf(member: number): number {
    return member % this.#hosts;
  }

  #latency(one: number, other: number): number {
    const { latencyMs, zoneLatencyMs } = this.#settings;
    return (this.#zoneOf[one] === this.#zoneOf[other] ? latencyMs : zoneLatencyMs) * TICKS_PER_MS;
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
          this.#hasLease[member] = 1;
          this.#originNext[member] = 0;
          this.#steer(member);
          this.#post('originAnswers', member, 2 * this.#settings.latencyMs);
        }
        return;
      case 'steeringTick': {
        const steering = this.#steering[member];
        if (steering === undefined || this.#isSteered[member] === 0) return;
        // Children that were told nothing are served by others, as long as this one has enough to do.
        if (this.#hasTurn(this.#hostOf(member))) this.#reveal(member, steering.tick(this.#nowMs));
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
    for (let entry = 0; entry < this.#logCount[member]; entry++)
      held.push(this.#logPiece[member * this.#pieces + entry]);
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
    for (let entry = member * this.#pieces + from; entry < member * this.#pieces + to; entry++) {
      pieces.push(this.#logPiece[entry]);
      const parent = this.#logSlotParent[entry];
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
    this.#state[member] = AT_ORIGIN;
    this.#originNext[member] = 0;
    for (let slot = 0; slot < SLOTS; slot++) this.#leave(member, slot);
    this.#steer(member);
    this.#tell('atOrigin', member);
    const delayMs = this.#hostOf(member) >= this.#settings.peers ? this.#settings.seedDelayMs : 0;
    this.#post('originAnswers', member, delayMs + 2 * this.#settings.latencyMs);
  }

  /** From now on each piece that nobody else has is told to one child before any is told twice. */
  #steer(member: number): void {
    if (!this.#isMesh || this.#steering[member] !== undefined) return;
    const steering = new Steering<number>({ pieceCount: this.#pieces });
    this.#steering[member] = steering;
    this.#isSteered[member] = 1;
    this.#toldEdges.set(member, new Set());
    for (let entry = 0; entry < this.#logCount[member]; entry++)
      steering.pieceHeld(this.#logPiece[member * this.#pieces + entry], this.#nowMs, { isElsewhere: true });
    for (let edge = this.#childHead[member]; edge !== NONE; edge = this.#edgeNext[edge])
      this.#reveal(member, steering.childJoined(edge, this.#nowMs, this.#interestOf(edge)));
    this.#post('steeringTick', member, STEERING_TICK_MS);
  }

  /** One stream, piece after piece; no further ahead of what was sent than the rules say. */
  #fetchFromOrigin(member: number): void {
    if (this.#state[member] !== AT_ORIGIN && this.#hasLease[member] === 0) return;
    const transfer = this.#originLane(member);
    if (transfer === NONE) return;
    let piece = this.#originNext[member];
    while (piece < this.#pieces && !this.#isWanted(member, piece)) piece++;
    this.#originNext[member] = piece;
    if (piece === this.#pieces) {
      if (this.#hasLease[member] === 1) this.#tell('leaseReturned', member);
      this.#hasLease[member] = 0;
      return;
    }
    const steering = this.#steering[member];
    // Who fetches for itself does not wait for others.
    if (steering !== undefined && !steering.isDone && this.#hostOf(member) >= this.#settings.peers) {
      const unsent = this.#logCount[member] - steering.spreadCount;
      if (unsent >= this.#settings.daemon.originLookAhead && this.#childHead[member] !== NONE) return;
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
    const slot = picker.addParent();
    const edge = member * SLOTS + slot;
    const latency = this.#latency(this.#hostOf(member), this.#hostOf(parent));
    this.#edgeParent[edge] = parent;
    this.#edgeIsFallback[edge] = isFallback ? 1 : 0;
    if (isFallback) {
      picker.setUsable(slot, false);
      this.#hasFallback[member] = 1;
    }
    this.#edgeCursor[edge] = 0;
    // The question travels, then the answer.
    this.#edgeReady[edge] = this.#tick + 2 * latency;
    this.#edgeNext[edge] = this.#childHead[parent];
    this.#edgePrevious[edge] = NONE;
    if (this.#childHead[parent] !== NONE) this.#edgePrevious[this.#childHead[parent]] = edge;
    this.#childHead[parent] = edge;
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
    const next = this.#edgeNext[edge];
    const previous = this.#edgePrevious[edge];
    if (previous === NONE) this.#childHead[parent] = next;
    else this.#edgeNext[previous] = next;
    if (next !== NONE) this.#edgePrevious[next] = previous;
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
    const member = Math.floor(edge / SLOTS);
    const wanted = new PieceSet();
    for (let piece = 0; piece < this.#pieces; piece++) if (this.#isWanted(member, piece)) wanted.add(piece);
    return wanted;
  }

  /** Tells children of pieces, each of its own. */
  #reveal(holder: number, reveals: readonly Reveal<number>[]): void {
    const steering = this.#steering[holder];
    if (steering?.isDone === true) return this.#openToAll(holder);
    for (const { child: edge, pieces } of reveals) {
      const member = Math.floor(edge / SLOTS);
      const latencyMs = this.#latency(this.#hostOf(holder), this.#hostOf(member)) / TICKS_PER_MS;
      const delayMs = Math.max(latencyMs, (this.#edgeReady[edge] - this.#tick) / TICKS_PER_MS);
      this.#toldEdges.get(holder)?.add(edge);
      for (const piece of pieces) this.#post('revealed', member, delayMs, (edge % SLOTS) * 65536 + piece);
    }
  }

  /** Others have everything: from now on every child reads the log. */
  #openToAll(holder: number): void {
    if (this.#isSteered[holder] === 0) return;
    this.#isSteered[holder] = 0;
    this.#toldEdges.delete(holder);
    for (let edge = this.#childHead[holder]; edge !== NONE; edge = this.#edgeNext[edge]) {
      const member = Math.floor(edge / SLOTS);
      const heardTick = this.#tick + this.#latency(this.#hostOf(holder), this.#hostOf(member));
      this.#edgeReady[edge] = Math.max(this.#edgeReady[edge], heardTick);
      this.#wakeAt(member, this.#edgeReady[edge]);
    }
  }

  #learnRevealed(member: number, slot: number, piece: number): void {
    if (this.#edgeParent[member * SLOTS + slot] === NONE) return;
    if (this.#pickers[member]?.announced(slot, piece) !== true) return;
    // A fresh piece is taken beside whatever is coming.
    if (this.#isByTurns) this.#seekTurn(member, slot);
    else if (this.#isHungry[member] === 1) this.#choose(member);
  }

  #wakeAt(member: number, tick: number): void {
    if (!this.#wakes.isSet(member) || this.#wakes.tickOf(member) > tick) this.#wakes.set(member, tick);
  }

  /** Reads what parents have said by now. @returns the tick at which the next word of theirs that is on its way arrives */
  #listen(member: number, picker: PiecePicker): number {
    const host = this.#hostOf(member);
    let nextTick = Infinity;
    for (let edge = member * SLOTS; edge < (member + 1) * SLOTS; edge++) {
      const parent = this.#edgeParent[edge];
      if (parent === NONE || this.#isSteered[parent] === 1) continue;
      const end = this.#logCount[parent];
      let cursor = this.#edgeCursor[edge];
      if (cursor === end) continue;
      if (this.#edgeReady[edge] > this.#tick) {
        nextTick = Math.min(nextTick, this.#edgeReady[edge]);
        continue;
      }
      const latency = this.#latency(host, this.#hostOf(parent));
      const slot = edge - member * SLOTS;
      const base = parent * this.#pieces;
      for (; cursor < end; cursor++) {
        const heardTick = this.#logTick[base + cursor] + latency;
        if (heardTick > this.#tick) {
          nextTick = Math.min(nextTick, heardTick);
          break;
        }
        const piece = this.#logPiece[base + cursor];
        picker.announced(slot, piece);
        if (!this.#isMesh && this.#firstHeardTick[member * this.#pieces + piece] === 0)
          this.#firstHeardTick[member * this.#pieces + piece] = this.#tick;
      }
      this.#edgeCursor[edge] = cursor;
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
    if (!this.#isMesh || this.#outstanding[member] > 0 || this.#hasLease[member] === 1) return Infinity;
    const dueTick = Math.max(this.#lastPieceTick[member] + LATE_MS * TICKS_PER_MS, this.#leaseDueTick[member]);
    if (this.#tick < dueTick) return dueTick;
    this.#leaseDueTick[member] = this.#tick + LEASE_RETRY_MS * TICKS_PER_MS;
    this.#tell('leaseAsked', member);
    return this.#leaseDueTick[member];
  }

  /** Asks fallbacks as well once neighbours have brought nothing for a while. @returns when that will be */
  #considerFallbacks(member: number, picker: PiecePicker): number {
    if (this.#hasFallback[member] === 0) return Infinity;
    const dueTick = this.#lastPieceTick[member] + FALLBACK_AFTER_MS * TICKS_PER_MS;
    const isDue = this.#tick >= dueTick;
    for (let slot = 0; slot < SLOTS; slot++) {
      const edge = member * SLOTS + slot;
      if (this.#edgeParent[edge] !== NONE && this.#edgeIsFallback[edge] === 1) picker.setUsable(slot, isDue);
    }
    return isDue ? Infinity : dueTick;
  }

  /** Asks for as many pieces as the rules allow. */
  #choose(member: number): void {
    const picker = this.#pickers[member];
    if (this.#state[member] !== FETCHING || picker === undefined) return;
    const nextTick = Math.min(
      this.#listen(member, picker),
      this.#considerFallbacks(member, picker),
      this.#considerOrigin(member),
    );
    if (this.#isByTurns) {
      this.#isHungry[member] = this.#isOpen(this.#hostOf(member)) ? 1 : 0;
      if (this.#isHungry[member] === 0) return;
      for (let slot = 0; slot < SLOTS; slot++) this.#seekTurn(member, slot);
      if (nextTick < Infinity) this.#wakeAt(member, Math.max(nextTick, this.#tick + 1));
      return;
    }
    let wakeTick = nextTick;
    while (this.#outstanding[member] < this.#concurrency) {
      if (this.#isMesh) {
        const { maxPerParent } = this.#settings.daemon;
        const picked = picker.pick({ ...this.#ruleOf(member), maxPerParent });
        if (picked === undefined) break;
        this.#request(member, picked.slot, picked.pieceNumber);
      } else {
        const tick = this.#chooseStock(member, picker);
        wakeTick = Math.min(wakeTick, tick);
        if (tick !== -1) break;
        wakeTick = nextTick;
      }
    }
    this.#isHungry[member] = this.#outstanding[member] < this.#concurrency ? 1 : 0;
    if (this.#isHungry[member] === 0) return;
    if (this.#isMesh && this.#isAllAsked(member)) wakeTick = Math.min(wakeTick, this.#hedge(member, picker));
    if (wakeTick < Infinity) this.#wakeAt(member, Math.max(wakeTick, this.#tick + 1));
  }

  #isAllAsked(member: number): boolean {
    for (let word = member * this.#words; word < (member + 1) * this.#words; word++)
      if (this.#wanted[word] !== 0) return false;
    return this.#missing[member] > 0;
  }

  /** At the end, asks a second parent for what takes twice as long as pieces do. @returns when to look again */
  #hedge(member: number, picker: PiecePicker): number {
    const { daemon, pieceBytes } = this.#settings;
    const pieceTicks = pieceBytes / this.#rateOf[this.#hostOf(member)];
    const patience = 2 * pieceTicks * daemon.uploadSlots + 50 * TICKS_PER_MS;
    let nextTick = Infinity;
    for (let lane = 0; lane < this.#lanes; lane++) {
      const transfer = this.#laneTransfer[member * this.#lanes + lane];
      if (transfer === NONE || this.#phase[transfer] === LANDING) continue;
      if (this.#tick - this.#askedTick[transfer] < patience) {
        nextTick = Math.min(nextTick, this.#askedTick[transfer] + patience);
        continue;
      }
      const piece = this.#piece[transfer];
      let asked = 0;
      let isTwice = false;
      for (let other = 0; other < this.#lanes; other++) {
        const second = this.#laneTransfer[member * this.#lanes + other];
        if (second === NONE || this.#piece[second] !== piece) continue;
        asked |= 1 << this.#slot[second];
        if (second !== transfer) isTwice = true;
      }
      if (isTwice || this.#outstanding[member] >= this.#lanes) continue;
      const slot = picker.pickHolder(piece, daemon.maxPerParent * 2, (candidate) => (asked & (1 << candidate)) !== 0);
      if (slot < 0) continue;
      this.#hedges++;
      this.#request(member, slot, piece);
    }
    return nextTick;
  }

  /** As stock daemons choose: in ascending order what was collected, the parent by its idle bandwidth. @returns -1 when it asked, else when to try again */
  #chooseStock(member: number, picker: PiecePicker): number {
    let parents = 0;
    for (let slot = 0; slot < SLOTS; slot++) if (this.#edgeParent[member * SLOTS + slot] !== NONE) parents++;
    let soonest = Infinity;
    for (let word = 0; word < this.#words; word++) {
      for (let rest = this.#wanted[member * this.#words + word]; rest !== 0; rest &= rest - 1) {
        const piece = word * 32 + 31 - Math.clz32(rest & -rest);
        const holders = picker.holdersOf(piece);
        if (holders === 0) continue;
        const readyTick = this.#firstHeardTick[member * this.#pieces + piece] + STOCK_COLLECT_MS * TICKS_PER_MS;
        if (holders < parents && readyTick > this.#tick) {
          soonest = Math.min(soonest, readyTick);
          continue;
        }
        this.#request(member, this.#drawParent(member, picker, piece), piece);
        return -1;
      }
    }
    return soonest;
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
    this.#wantedOf.offset = member * this.#words;
    const order = this.#logCount[member] < this.#settings.daemon.randomPieces ? 'random' : 'rarest';
    return { wanted: this.#wantedOf, order, hot: this.#hotPieces.get(member) };
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
    this.#expecting[this.#hostOf(member)]++;
    this.#travel(transfer);
  }

  /** Word of the transfer is on its way from one end to the other. */
  #travel(transfer: number): void {
    const latency = this.#latency(this.#hostOf(this.#child[transfer]), this.#hostOf(this.#parent[transfer]));
    this.#transfers.set(transfer, this.#tick + latency);
  }

  // Turns.

  /** Whether the host could send more than it does. */
  #hasTurn(host: number): boolean {
    if (this.#promised[host] > 0 || this.#isAlive[host] === 0 || this.#isLeech[host] === 1) return false;
    const sending = this.#sending[host];
    if (sending === 0) return true;
    return sending < this.#settings.daemon.uploadSlots && this.#shares.uploadUse(host) < ENOUGH_USE;
  }

  /** Whether the host could receive more than it does. */
  #isOpen(host: number): boolean {
    if (this.#expecting[host] > 0) return false;
    const receiving = this.#receiving[host];
    if (receiving === 0) return true;
    return receiving < MAX_RECEIVING && this.#shares.downloadUse(host) < ENOUGH_USE;
  }

  /** Parents hear, later, whether the host takes offers. */
  #noteOpenness(host: number): void {
    const isOpen = this.#isOpen(host) ? 1 : 0;
    if (isOpen === this.#isOpenToOffers[host]) return;
    this.#isOpenToOffers[host] = isOpen;
    if (isOpen === 0) this.#closedSinceTick[host] = this.#tick;
    else {
      this.#openSinceTick[host] = this.#tick;
      for (let member = host; member < this.#members; member += this.#hosts) this.#choose(member);
    }
  }

  /** What a parent at this distance knows of the child's host by now. */
  #isKnownOpen(host: number, latency: number): boolean {
    const heardTick = this.#tick - latency;
    if (this.#isOpenToOffers[host] === 1) return this.#openSinceTick[host] <= heardTick;
    return this.#closedSinceTick[host] > heardTick;
  }

  /** Tells the parent in this slot, if it has a turn to give, that its child would take it. */
  #seekTurn(member: number, slot: number): void {
    const parent = this.#edgeParent[member * SLOTS + slot];
    if (parent === NONE) return;
    const host = this.#hostOf(parent);
    if (!this.#hasTurn(host)) return;
    const tick = this.#tick + this.#latency(host, this.#hostOf(member));
    if (this.#turns.isSet(host) && this.#turns.tickOf(host) <= tick) return;
    if ((this.#pickers[member]?.pickFrom(slot, this.#ruleOf(member)) ?? NONE) >= 0) this.#turns.set(host, tick);
  }

  #offerTurn(host: number): void {
    if (!this.#isByTurns || !this.#hasTurn(host)) return;
    const edge = this.#drawChild(host);
    if (edge === NONE) return;
    const transfer = this.#newTransfer(Math.floor(edge / SLOTS), edge % SLOTS);
    this.#phase[transfer] = OFFERED;
    this.#promised[host]++;
    this.#travel(transfer);
  }

  /**
   * A child that, as far as is known here, receives nothing and lacks something that this host has; any of them. Who has pieces that nobody
   * else has does not wait for such a child.
   */
  #drawChild(host: number): number {
    for (let isFresh = 0; isFresh < 2; isFresh++) {
      let count = 0;
      for (let member = host; member < this.#members; member += this.#hosts) {
        if (this.#isSteered[member] < isFresh) continue;
        const told = this.#toldEdges.get(member);
        if (told !== undefined) for (const edge of told) count = this.#consider(edge, host, isFresh, count);
        else
          for (let edge = this.#childHead[member]; edge !== NONE; edge = this.#edgeNext[edge])
            count = this.#consider(edge, host, isFresh, count);
      }
      while (count > 0) {
        const at = Math.floor(this.#random() * count);
        const edge = this.#drawn[at];
        const child = Math.floor(edge / SLOTS);
        const piece = this.#pickers[child]?.pickFrom(edge % SLOTS, this.#ruleOf(child)) ?? NONE;
        if (piece >= 0 && this.#hasLane(child)) return edge;
        this.#drawn[at] = this.#drawn[--count];
      }
    }
    return NONE;
  }

  /** Takes a child among those of whom one is drawn, if it can be. @returns how many these are now */
  #consider(edge: number, host: number, isFresh: number, count: number): number {
    const child = Math.floor(edge / SLOTS);
    if (this.#edgeParent[edge] === NONE || this.#state[child] !== FETCHING) return count;
    if (this.#hostOf(this.#edgeParent[edge]) !== host) return count;
    const childHost = this.#hostOf(child);
    if (isFresh === 0 && !this.#isKnownOpen(childHost, this.#latency(host, childHost))) return count;
    if (count === this.#drawn.length)
      this.#drawn = Int32Array.from({ length: count * 2 }, (_, at) => this.#drawn[at] ?? 0);
    this.#drawn[count] = edge;
    return count + 1;
  }

  #hasLane(member: number): boolean {
    for (let transfer = member * this.#lanes; transfer < (member + 1) * this.#lanes; transfer++)
      if (this.#phase[transfer] === FREE) return true;
    return false;
  }

  /** The offer of a turn has arrived: the child takes it up or not. */
  #answerOffer(transfer: number): void {
    const member = this.#child[transfer];
    const host = this.#hostOf(member);
    const picker = this.#pickers[member];
    let piece = NONE;
    if (picker !== undefined && this.#state[member] === FETCHING) {
      this.#listen(member, picker);
      const isFresh = this.#isSteered[this.#parent[transfer]] === 1;
      const canTake = this.#isOpen(host) || (isFresh && this.#receiving[host] + this.#expecting[host] < 2);
      if (canTake) piece = picker.pickFrom(this.#slot[transfer], this.#ruleOf(member));
    }
    if (piece >= 0) {
      this.#take(transfer, piece);
      this.#noteOpenness(host);
    } else {
      this.#phase[transfer] = DECLINED;
      this.#travel(transfer);
    }
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
      case SENDING:
        return this.#leadBytes > 0 && this.#isByTurns && this.#parent[transfer] !== NONE
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
    const parent = this.#parent[transfer];
    const host = this.#hostOf(parent);
    this.#steering[parent]?.pieceAsked(
      this.#child[transfer] * SLOTS + this.#slot[transfer],
      this.#piece[transfer],
      this.#nowMs,
    );
    const slots = this.#isMesh ? this.#settings.daemon.uploadSlots : this.#settings.stockUploadSlots;
    if (this.#isByTurns || this.#sending[host] < slots) this.#send(transfer);
    else this.#enqueue(host, transfer);
  }

  #send(transfer: number): void {
    const from = this.#hostOf(this.#parent[transfer]);
    const to = this.#hostOf(this.#child[transfer]);
    this.#leavePlace(transfer);
    this.#phase[transfer] = SENDING;
    this.#sending[from]++;
    this.#receiving[to]++;
    const mark = this.#isByTurns ? this.#leadBytes : 0;
    this.#shares.start(transfer, from, to, this.#settings.pieceBytes, this.#tick, mark);
    if (!this.#isByTurns) return;
    this.#noteOpenness(to);
    this.#offerTurn(from);
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
    if (phase === OFFERED || phase === DECLINED) this.#promised[from]--;
    else if (phase === ASKED || phase === QUEUED) {
      this.#expecting[to]--;
      if (this.#isByTurns) this.#promised[from]--;
    } else if (phase === SENDING) {
      this.#sending[from]--;
      this.#receiving[to]--;
    }
  }

  #serveNext(host: number): void {
    if (this.#isByTurns) return this.#offerTurn(host);
    const transfer = this.#queueHead[host];
    if (transfer === NONE || this.#isAlive[host] === 0) return;
    this.#dequeue(host, transfer);
    this.#send(transfer);
  }

  #enqueue(host: number, transfer: number): void {
    this.#phase[transfer] = QUEUED;
    const tail = this.#queueTail[host];
    this.#queueNext[transfer] = NONE;
    this.#queuePrevious[transfer] = tail;
    if (tail === NONE) this.#queueHead[host] = transfer;
    else this.#queueNext[tail] = transfer;
    this.#queueTail[host] = transfer;
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
    this.#spread(member);
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

  /** Wakes children that wait for news, when the word has reached them. */
  #spread(member: number): void {
    if (this.#isSteered[member] === 1) return;
    const host = this.#hostOf(member);
    for (let edge = this.#childHead[member]; edge !== NONE; edge = this.#edgeNext[edge]) {
      const child = Math.floor(edge / SLOTS);
      if (this.#isHungry[child] === 1) this.#wakeAt(child, this.#tick + this.#latency(host, this.#hostOf(child)));
    }
  }

  #finish(member: number): void {
    this.#state[member] = DONE;
    this.#doneTick[member] = this.#tick;
    this.#isHungry[member] = 0;
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
    if (this.#parent[transfer] === NONE || phase === OFFERED || phase === DECLINED) return;
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
    this.#post('hostLost', host, this.#toSchedulerMs(host));
    for (let task = 0; task < this.#settings.tasks; task++) {
      const member = task * this.#hosts + host;
      for (let edge = this.#childHead[member]; edge !== NONE; edge = this.#edgeNext[edge]) {
        const child = Math.floor(edge / SLOTS);
        this.#post('parentGone', child, this.#latency(host, this.#hostOf(child)) / TICKS_PER_MS, edge % SLOTS);
        for (let lane = 0; lane < this.#lanes; lane++) {
          const transfer = this.#laneTransfer[child * this.#lanes + lane];
          if (transfer === NONE || this.#parent[transfer] !== member) continue;
          const phase = this.#phase[transfer];
          if (phase === LANDING) continue;
          if (phase === SENDING || phase === ENDING) this.#shares.stop(transfer, this.#tick);
          if (phase === QUEUED) this.#dequeue(host, transfer);
          this.#transfers.cancel(transfer);
          this.#leavePlace(transfer);
          if (phase === OFFERED || phase === DECLINED) {
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

import type { LinkLoad } from '@d7y/swarm';
import { isOpenForTurns, mayGiveTurn, mayTakeTurn, slowAfterMs, turnsAtOnce, typicalDuration } from '@d7y/swarm';
import { TICKS_PER_MS } from './ticks.ts';

// What is looked at together stands together, one row for each host: most of a run is spent on waiting for memory.
const ROW_BITS = 3;
/** Offered or promised, and not yet sent. */
const PROMISED = 0;
/** Sent and received at this moment, but for what is nearly over. */
const SENDING = 1;
const RECEIVING = 2;
/** Taken up, and not yet coming. */
const EXPECTING = 3;
/** When what is under way will have taken long. */
const UP_SLOW = 4;
const DOWN_SLOW = 5;
/** Gives nothing. */
const IS_MUTE = 6;

const HAS_NO_TURN = 0;
const HAS_TURN = 1;
/** Once what it sends has taken long. */
const HAS_TURN_WHEN_SLOW = 2;

const ALWAYS = -(2 ** 31);
/** How much a new measurement of the time to an answer counts against all before it, as with daemons. */
const SMOOTHING = 0.3;

/** How far both links of every host are taken up, as far as turns go by it: what the rules of turns are asked with. */
export class HostLinks {
  readonly #rows: Int32Array;
  // What is looked up of many hosts in a row stands by itself, in little memory.
  /** Since when a host takes offers of turns; the negative of since when it does not. */
  readonly #openness: Int32Array;
  /** Whether it could send more than it does. */
  readonly #turn: Uint8Array;
  /** When the last piece began on a link, and how many ticks one takes of late; 0 while unknown. */
  readonly #upBeganTick: Float64Array;
  readonly #downBeganTick: Float64Array;
  readonly #upTypical: Float32Array;
  readonly #downTypical: Float32Array;
  /** Ticks to an answer, of late. */
  readonly #answer: Float32Array;
  /** Turns that may be under way on a link. */
  readonly #upAtOnce: Uint8Array;
  readonly #downAtOnce: Uint8Array;
  readonly #load = { promised: 0, running: 0, areSlow: false, atOnce: 1 };

  constructor(hosts: number) {
    this.#rows = new Int32Array(hosts << ROW_BITS);
    this.#openness = new Int32Array(hosts);
    this.#turn = new Uint8Array(hosts).fill(HAS_TURN);
    this.#upBeganTick = new Float64Array(hosts);
    this.#downBeganTick = new Float64Array(hosts);
    this.#upTypical = new Float32Array(hosts);
    this.#downTypical = new Float32Array(hosts);
    this.#answer = new Float32Array(hosts);
    this.#upAtOnce = new Uint8Array(hosts).fill(1);
    this.#downAtOnce = new Uint8Array(hosts).fill(1);
  }

  /** Has the host give nothing from now on. */
  mute(host: number): void {
    this.#rows[(host << ROW_BITS) + IS_MUTE] = 1;
    this.#judge(host);
  }

  /** Turns that the host has given, and that have not become pieces. */
  promise(host: number, change: 1 | -1): void {
    this.#rows[(host << ROW_BITS) + PROMISED] += change;
    this.#judge(host);
  }

  /** Turns that the host has taken, and that bring no piece yet. */
  expect(host: number, change: 1 | -1): void {
    this.#rows[(host << ROW_BITS) + EXPECTING] += change;
  }

  sending(host: number): number {
    return this.#rows[(host << ROW_BITS) + SENDING];
  }

  /** A piece is on its way. */
  begin(from: number, to: number, tick: number): void {
    this.#rows[(from << ROW_BITS) + SENDING]++;
    this.#rows[(to << ROW_BITS) + RECEIVING]++;
    this.#upBeganTick[from] = this.#downBeganTick[to] = tick;
    this.#judge(from);
    this.#foresee(from, to);
  }

  /** It is there, or nearly. @param beganTick when it began */
  end(from: number, to: number, beganTick: number): void {
    this.#rows[(from << ROW_BITS) + SENDING]--;
    this.#rows[(to << ROW_BITS) + RECEIVING]--;
    // Whatever else is under way was slow already when this one began.
    if (this.#upBeganTick[from] === beganTick) this.#upBeganTick[from] = -Infinity;
    if (this.#downBeganTick[to] === beganTick) this.#downBeganTick[to] = -Infinity;
    this.#judge(from);
    this.#foresee(from, to);
  }

  /** Notes how long a piece took, and the answer to its offer. */
  took(from: number, to: number, ticks: number, answerTicks: number): void {
    this.#upTypical[from] = typicalDuration(this.#upTypical[from], ticks);
    this.#downTypical[to] = typicalDuration(this.#downTypical[to], ticks);
    for (const host of [from, to]) this.#answer[host] += (answerTicks - this.#answer[host]) * SMOOTHING;
    this.#upAtOnce[from] = turnsAtOnce(this.#answer[from], this.#upTypical[from]);
    this.#downAtOnce[to] = turnsAtOnce(this.#answer[to], this.#downTypical[to]);
    this.#foresee(from, to);
  }

  /** Ticks that a piece takes to come here; 0 while unknown. */
  typicalDownload(host: number): number {
    return this.#downTypical[host];
  }

  /** Whether the host could send more than it does. */
  hasTurn(host: number, tick: number): boolean {
    const turn = this.#turn[host];
    return turn === HAS_TURN || (turn === HAS_TURN_WHEN_SLOW && tick >= this.#rows[(host << ROW_BITS) + UP_SLOW]);
  }

  /** Whether the host could receive more than it does. */
  isOpen(host: number, tick: number): boolean {
    return isOpenForTurns(this.#download(host, tick));
  }

  /** Whether it may take a turn of one who has pieces that nobody else has. @param lastsMs, @param inMs see `mayTakeTurn` */
  mayTakeFromSource(host: number, tick: number, lastsMs: number, inMs: number): boolean {
    return mayTakeTurn(this.#download(host, tick), lastsMs, { isFromSource: true, inMs });
  }

  /** When what the host receives will have taken so long that it may receive more beside it; Infinity when it is not that. */
  slowTick(host: number): number {
    const row = host << ROW_BITS;
    if (this.#rows[row + EXPECTING] > 0 || this.#rows[row + RECEIVING] === 0) return Infinity;
    return this.#rows[row + DOWN_SLOW];
  }

  /** Whether it said last that it takes offers. */
  saidOpen(host: number): boolean {
    return this.#openness[host] >= 0;
  }

  /** Says whether it takes offers where that has changed. @returns whether it does now, and did not */
  sayOpenness(host: number, tick: number): boolean {
    const isOpen = this.isOpen(host, tick);
    if (isOpen === this.#openness[host] >= 0) return false;
    this.#openness[host] = isOpen ? tick : -tick;
    return isOpen;
  }

  /**
   * For how many ticks it had taken offers by then, as those know who have heard what it said up to then; -1 when it did not, 0 when it has
   * ended since.
   */
  openFor(host: number, heardTick: number): number {
    const since = this.#openness[host];
    if (since < 0) return -since > heardTick ? 0 : -1;
    return since <= heardTick ? heardTick - since : -1;
  }

  #download(host: number, tick: number): LinkLoad {
    const row = host << ROW_BITS;
    const load = this.#load;
    load.promised = this.#rows[row + EXPECTING];
    load.running = this.#rows[row + RECEIVING];
    load.areSlow = tick >= this.#rows[row + DOWN_SLOW];
    load.atOnce = this.#downAtOnce[host];
    return load;
  }

  #judge(host: number): void {
    const row = host << ROW_BITS;
    const load = this.#load;
    load.promised = this.#rows[row + PROMISED];
    load.running = this.#rows[row + SENDING];
    load.atOnce = this.#upAtOnce[host];
    load.areSlow = false;
    let turn = HAS_NO_TURN;
    if (this.#rows[row + IS_MUTE] === 0) {
      if (mayGiveTurn(load)) turn = HAS_TURN;
      else {
        load.areSlow = true;
        if (mayGiveTurn(load)) turn = HAS_TURN_WHEN_SLOW;
      }
    }
    this.#turn[host] = turn;
  }

  #foresee(from: number, to: number): void {
    this.#rows[(from << ROW_BITS) + UP_SLOW] = slowTick(this.#upBeganTick[from], this.#upTypical[from]);
    this.#rows[(to << ROW_BITS) + DOWN_SLOW] = slowTick(this.#downBeganTick[to], this.#downTypical[to]);
  }
}

/** When a piece that began then is slow. @param typicalTicks of late; 0 while unknown */
const slowTick = (beganTick: number, typicalTicks: number): number =>
  beganTick === -Infinity ? ALWAYS : Math.ceil(beganTick + slowAfterMs(typicalTicks / TICKS_PER_MS) * TICKS_PER_MS);

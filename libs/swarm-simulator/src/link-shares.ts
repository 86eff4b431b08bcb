// Who owns what: the shares own which transfers are on which link, how fast each is and how much of it is left. Every host has one uplink
// and one downlink. Links are shared as long-lived connections would share them, max-min: a link gives each of its transfers the same,
// and what a transfer cannot use because of its other end goes to the others. The level of a link is what it gives to those that could take
// more. After a change the levels of the two links and of the links one transfer further away are found anew; what would change
// beyond is left as it is, so a link is now and then filled a little less, or a little more, than full.
import type { EventWheel } from './event-wheel.ts';

const NONE = -1;
/** In place of a mark that was reached. */
const PASSED = -1;
/** A rate that changes by less than this part of it is left alone. */
const TOLERANCE = 0.002;

export class LinkShares {
  /** Bytes per tick, of each host. */
  readonly #upCapacity: Float64Array;
  readonly #downCapacity: Float64Array;
  readonly #upLevel: Float64Array;
  readonly #downLevel: Float64Array;
  readonly #upHead: Int32Array;
  readonly #downHead: Int32Array;
  readonly #upCount: Int32Array;
  readonly #downCount: Int32Array;
  /** Bytes per tick that leave each host now. */
  readonly #upRate: Float64Array;
  readonly #from: Int32Array;
  readonly #to: Int32Array;
  readonly #upNext: Int32Array;
  readonly #upPrevious: Int32Array;
  readonly #downNext: Int32Array;
  readonly #downPrevious: Int32Array;
  readonly #rate: Float64Array;
  readonly #left: Float64Array;
  /** An event is set for when so much is left. */
  readonly #mark: Float64Array;
  readonly #sinceTick: Float64Array;
  readonly #ends: EventWheel;

  /** @param ends gets the end of each transfer under its number, moved as rates change */
  constructor(links: { readonly up: Float64Array; readonly down: Float64Array }, transfers: number, ends: EventWheel) {
    const hosts = links.up.length;
    this.#upCapacity = links.up;
    this.#downCapacity = links.down;
    this.#upLevel = links.up.slice();
    this.#downLevel = links.down.slice();
    this.#upHead = new Int32Array(hosts).fill(NONE);
    this.#downHead = new Int32Array(hosts).fill(NONE);
    this.#upCount = new Int32Array(hosts);
    this.#downCount = new Int32Array(hosts);
    this.#upRate = new Float64Array(hosts);
    this.#from = new Int32Array(transfers);
    this.#to = new Int32Array(transfers);
    this.#upNext = new Int32Array(transfers);
    this.#upPrevious = new Int32Array(transfers);
    this.#downNext = new Int32Array(transfers);
    this.#downPrevious = new Int32Array(transfers);
    this.#rate = new Float64Array(transfers);
    this.#left = new Float64Array(transfers);
    this.#mark = new Float64Array(transfers);
    this.#sinceTick = new Float64Array(transfers);
    this.#ends = ends;
  }

  uploads(host: number): number {
    return this.#upCount[host];
  }

  downloads(host: number): number {
    return this.#downCount[host];
  }

  /** Bytes per tick that leave the host now. */
  uploadRate(host: number): number {
    return this.#upRate[host];
  }

  /** What part of the uplink is in use. */
  uploadUse(host: number): number {
    return this.#upRate[host] / this.#upCapacity[host];
  }

  /** What part of the downlink is in use. */
  downloadUse(host: number): number {
    let sum = 0;
    for (let other = this.#downHead[host]; other !== NONE; other = this.#downNext[other]) sum += this.#rate[other];
    return sum / this.#downCapacity[host];
  }

  /** @param mark the event of the transfer comes when so many bytes are left; by `pass` it is set to the end */
  start(transfer: number, from: number, to: number, bytes: number, tick: number, mark = 0): void {
    this.#from[transfer] = from;
    this.#to[transfer] = to;
    this.#rate[transfer] = 0;
    this.#left[transfer] = bytes;
    this.#mark[transfer] = mark;
    this.#sinceTick[transfer] = tick;
    this.#upNext[transfer] = this.#upHead[from];
    this.#upPrevious[transfer] = NONE;
    if (this.#upHead[from] !== NONE) this.#upPrevious[this.#upHead[from]] = transfer;
    this.#upHead[from] = transfer;
    this.#upCount[from]++;
    this.#downNext[transfer] = this.#downHead[to];
    this.#downPrevious[transfer] = NONE;
    if (this.#downHead[to] !== NONE) this.#downPrevious[this.#downHead[to]] = transfer;
    this.#downHead[to] = transfer;
    this.#downCount[to]++;
    this.#share(from, to, tick);
  }

  /** How long until one of the transfers whose mark is reached leaves the uplink; 0 without one. */
  uploadEndsIn(host: number, tick: number): number {
    let least = Infinity;
    for (let other = this.#upHead[host]; other !== NONE; other = this.#upNext[other])
      if (this.#mark[other] === PASSED) least = Math.min(least, this.remainingTicks(other, tick));
    return least === Infinity ? 0 : least;
  }

  /** The same for the downlink. */
  downloadEndsIn(host: number, tick: number): number {
    let least = Infinity;
    for (let other = this.#downHead[host]; other !== NONE; other = this.#downNext[other])
      if (this.#mark[other] === PASSED) least = Math.min(least, this.remainingTicks(other, tick));
    return least === Infinity ? 0 : least;
  }

  /** How long until all that is under way to the host is there. */
  downloadsEndIn(host: number, tick: number): number {
    let most = 0;
    for (let other = this.#downHead[host]; other !== NONE; other = this.#downNext[other])
      most = Math.max(most, this.remainingTicks(other, tick));
    return most;
  }

  /** How long a transfer still takes at its rate. */
  remainingTicks(transfer: number, tick: number): number {
    const left = this.#left[transfer] - this.#rate[transfer] * (tick - this.#sinceTick[transfer]);
    return Math.max(left, 0) / this.#rate[transfer];
  }

  /** The mark is reached; the next event is the end. */
  pass(transfer: number, tick: number): void {
    this.#mark[transfer] = PASSED;
    const left = this.#left[transfer] - this.#rate[transfer] * (tick - this.#sinceTick[transfer]);
    this.#ends.set(transfer, tick + Math.max(left, 0) / this.#rate[transfer]);
  }

  /** @returns bytes that had not been sent */
  stop(transfer: number, tick: number): number {
    const from = this.#from[transfer];
    const to = this.#to[transfer];
    const left = this.#left[transfer] - this.#rate[transfer] * (tick - this.#sinceTick[transfer]);
    this.#upRate[from] -= this.#rate[transfer];
    const upNext = this.#upNext[transfer];
    const upPrevious = this.#upPrevious[transfer];
    if (upPrevious === NONE) this.#upHead[from] = upNext;
    else this.#upNext[upPrevious] = upNext;
    if (upNext !== NONE) this.#upPrevious[upNext] = upPrevious;
    if (--this.#upCount[from] === 0) this.#upRate[from] = 0;
    const downNext = this.#downNext[transfer];
    const downPrevious = this.#downPrevious[transfer];
    if (downPrevious === NONE) this.#downHead[to] = downNext;
    else this.#downNext[downPrevious] = downNext;
    if (downNext !== NONE) this.#downPrevious[downNext] = downPrevious;
    this.#downCount[to]--;
    this.#ends.cancel(transfer);
    this.#share(from, to, tick);
    return Math.max(left, 0);
  }

  #share(from: number, to: number, tick: number): void {
    this.#levelUp(from);
    for (let other = this.#upHead[from]; other !== NONE; other = this.#upNext[other]) this.#levelDown(this.#to[other]);
    this.#levelDown(to);
    for (let other = this.#downHead[to]; other !== NONE; other = this.#downNext[other])
      this.#levelUp(this.#from[other]);
    this.#levelUp(from);
    this.#levelDown(to);
    for (let other = this.#upHead[from]; other !== NONE; other = this.#upNext[other])
      this.#applyDown(this.#to[other], tick);
    for (let other = this.#downHead[to]; other !== NONE; other = this.#downNext[other])
      this.#applyUp(this.#from[other], tick);
  }

  #levelUp(host: number): void {
    const capacity = this.#upCapacity[host];
    const count = this.#upCount[host];
    let level = count < 2 ? capacity : capacity / count;
    for (let round = 0; round < count && count > 1; round++) {
      let taken = 0;
      let open = 0;
      for (let other = this.#upHead[host]; other !== NONE; other = this.#upNext[other]) {
        const limit = this.#downLevel[this.#to[other]];
        if (limit < level) taken += limit;
        else open++;
      }
      const next = open === 0 ? capacity : (capacity - taken) / open;
      if (next <= level * 1.000001) break;
      level = next;
    }
    this.#upLevel[host] = level;
  }

  #levelDown(host: number): void {
    const capacity = this.#downCapacity[host];
    const count = this.#downCount[host];
    let level = count < 2 ? capacity : capacity / count;
    for (let round = 0; round < count && count > 1; round++) {
      let taken = 0;
      let open = 0;
      for (let other = this.#downHead[host]; other !== NONE; other = this.#downNext[other]) {
        const limit = this.#upLevel[this.#from[other]];
        if (limit < level) taken += limit;
        else open++;
      }
      const next = open === 0 ? capacity : (capacity - taken) / open;
      if (next <= level * 1.000001) break;
      level = next;
    }
    this.#downLevel[host] = level;
  }

  #applyUp(host: number, tick: number): void {
    for (let other = this.#upHead[host]; other !== NONE; other = this.#upNext[other]) this.#apply(other, tick);
  }

  #applyDown(host: number, tick: number): void {
    for (let other = this.#downHead[host]; other !== NONE; other = this.#downNext[other]) this.#apply(other, tick);
  }

  #apply(transfer: number, tick: number): void {
    const rate = Math.min(this.#upLevel[this.#from[transfer]], this.#downLevel[this.#to[transfer]]);
    const old = this.#rate[transfer];
    if (Math.abs(rate - old) <= TOLERANCE * old) return;
    this.#left[transfer] -= old * (tick - this.#sinceTick[transfer]);
    this.#sinceTick[transfer] = tick;
    this.#rate[transfer] = rate;
    this.#upRate[this.#from[transfer]] += rate - old;
    this.#ends.set(transfer, tick + Math.max(this.#left[transfer] - Math.max(this.#mark[transfer], 0), 0) / rate);
  }
}

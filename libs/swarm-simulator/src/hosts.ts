import { turnLeadMs } from '@d7y/swarm';
import type { Settings } from './settings.ts';
import { TICKS_PER_MS } from './ticks.ts';

/** Who there is, where, and how fast. The one after the last is the origin. */
export class Hosts {
  readonly count: number;
  readonly isZoned: boolean;
  readonly latencyTicks: number;
  readonly zoneLatencyTicks: number;
  readonly zoneOf: Uint8Array;
  readonly isAlive: Uint8Array;
  readonly isNormal: Uint8Array;
  readonly isLeech: Uint8Array;
  /** Bytes per tick that a host can send. */
  readonly rateOf: Float64Array;
  /** The same for what it can receive. */
  readonly downRateOf: Float64Array;
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
    const hosts = (this.count = settings.peers + settings.seeds);
    this.isZoned = settings.zones > 1;
    this.latencyTicks = settings.latencyMs * TICKS_PER_MS;
    this.zoneLatencyTicks = settings.zoneLatencyMs * TICKS_PER_MS;
    this.zoneOf = Uint8Array.from({ length: hosts + 1 }, (_, host) => (host < hosts ? host % settings.zones : 0));
    this.isAlive = new Uint8Array(hosts + 1).fill(1);
    this.isNormal = new Uint8Array(hosts).fill(1);
    this.isLeech = new Uint8Array(hosts);
    this.rateOf = new Float64Array(hosts + 1).fill(bytesPerTick(settings.rateBitsPerSec));
    this.downRateOf = this.rateOf.slice();
    this.rateOf[hosts] = bytesPerTick(settings.originBitsPerSec);
  }

  latency(one: number, other: number): number {
    if (!this.isZoned || this.zoneOf[one] === this.zoneOf[other]) return this.latencyTicks;
    return this.zoneLatencyTicks;
  }

  /** How long before a piece of this transfer is over the next turn is settled: daemons go by how long answers take. */
  leadTicks(one: number, other: number): number {
    return turnLeadMs((2 * this.latency(one, other)) / TICKS_PER_MS) * TICKS_PER_MS;
  }

  /** The scheduler is in the first zone. */
  toSchedulerMs(host: number): number {
    const { latencyMs, zoneLatencyMs } = this.#settings;
    return this.zoneOf[host] === 0 ? latencyMs : zoneLatencyMs;
  }
}

const bytesPerTick = (bitsPerSec: number): number => bitsPerSec / 8 / 1000 / TICKS_PER_MS;

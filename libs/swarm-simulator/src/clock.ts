import { EventWheel } from './event-wheel.ts';
import { TICKS_PER_MS } from './ticks.ts';

/** Virtual time, and who does something when. */
export class Clock {
  tick = 0;
  /** Members that look again for what to ask for. */
  readonly wakes: EventWheel;
  /** Hosts that look for whom to offer their turn. */
  readonly turns: EventWheel;

  constructor(hosts: number, tasks: number) {
    this.wakes = new EventWheel(hosts * tasks);
    this.turns = new EventWheel(hosts);
  }

  get nowMs(): number {
    return this.tick / TICKS_PER_MS;
  }

  /** Has the member look then, or earlier. */
  wakeAt(member: number, tick: number): void {
    if (!this.wakes.isSet(member) || this.wakes.tickOf(member) > tick) this.wakes.set(member, tick);
  }
}

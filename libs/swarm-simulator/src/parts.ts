import { Choosing } from './choosing.ts';
import type { Ground } from './ground.ts';
import { Hearsay } from './hearsay.ts';
import { HostDeaths } from './host-deaths.ts';
import { Neighbours } from './neighbours.ts';
import { OriginFetching } from './origin-fetching.ts';
import { SchedulerEnd } from './scheduler-end.ts';
import type { SchedulerPorts } from './scheduler-end.ts';
import { Sending } from './sending.ts';
import { StockChoosing } from './stock-choosing.ts';
import { Turns } from './turns.ts';

/** What daemons and the scheduler do, each part knowing the others. */
export class Parts {
  readonly scheduler: SchedulerEnd;
  readonly parents: Neighbours;
  readonly hearsay: Hearsay;
  readonly choosing: Choosing;
  readonly stock: StockChoosing;
  readonly turns: Turns;
  readonly sending: Sending;
  readonly origin: OriginFetching;
  readonly deaths: HostDeaths;

  constructor(ground: Ground, ports: SchedulerPorts) {
    this.scheduler = new SchedulerEnd(ground, ports);
    this.parents = new Neighbours(ground, this);
    this.hearsay = new Hearsay(ground, this);
    this.choosing = new Choosing(ground, this);
    this.stock = new StockChoosing(ground, this);
    this.turns = new Turns(ground, this);
    this.sending = new Sending(ground, this);
    this.origin = new OriginFetching(ground, this);
    this.deaths = new HostDeaths(ground, this);
  }
}

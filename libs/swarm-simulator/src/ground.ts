import { Clock } from './clock.ts';
import { Edges } from './edges.ts';
import { HostLinks } from './host-links.ts';
import { Hosts } from './hosts.ts';
import { LinkShares } from './link-shares.ts';
import { Mailbox } from './mailbox.ts';
import { Members } from './members.ts';
import { Tally } from './outcome.ts';
import { seededRandom } from './random.ts';
import type { Settings } from './settings.ts';
import { Transfers } from './transfers.ts';
import { UploadQueue } from './upload-queue.ts';

/** What everything in a run stands on: its columns of numbers, the clock and the post. */
export class Ground {
  readonly settings: Settings;
  readonly random: () => number;
  readonly isMesh: boolean;
  readonly isByTurns: boolean;
  /** Pieces that a host sends at once, with a queue. */
  readonly uploadSlots: number;
  readonly hosts: Hosts;
  readonly clock: Clock;
  readonly members: Members;
  readonly edges: Edges;
  readonly transfers: Transfers;
  readonly queue: UploadQueue;
  readonly links: HostLinks;
  readonly shares: LinkShares;
  readonly mail: Mailbox;
  readonly tally = new Tally();

  constructor(settings: Settings) {
    this.settings = settings;
    this.random = seededRandom(settings.seed);
    this.isMesh = settings.policy === 'mesh';
    this.isByTurns = this.isMesh && settings.daemon.uploads === 'turns';
    this.uploadSlots = this.isMesh ? settings.daemon.uploadSlots : Infinity;
    this.hosts = new Hosts(settings);
    this.clock = new Clock(this.hosts.count, settings.tasks);
    this.members = new Members(this);
    this.edges = new Edges(this.members.count);
    this.transfers = new Transfers(this);
    this.queue = new UploadQueue(this);
    this.links = new HostLinks(this.hosts.count);
    this.mail = new Mailbox(this);
    this.draw(settings.slowShare, (host) => {
      this.hosts.rateOf[host] /= 10;
      this.hosts.isNormal[host] = 0;
    });
    this.draw(settings.leechShare, (host) => {
      this.hosts.isLeech[host] = 1;
      this.links.mute(host);
      this.hosts.isNormal[host] = 0;
    });
    const { rateOf: up, downRateOf: down } = this.hosts;
    this.shares = new LinkShares({ up, down }, this.transfers.phase.length, this.transfers.events);
  }

  /** Draws a part of the peers. */
  draw(share: number, act: (host: number) => void): void {
    const { peers } = this.settings;
    const order = Int32Array.from({ length: peers }, (_, host) => host);
    for (let drawn = 0; drawn < Math.round(share * peers); drawn++) {
      const other = drawn + Math.floor(this.random() * (peers - drawn));
      [order[drawn], order[other]] = [order[other], order[drawn]];
      act(order[drawn]);
    }
  }
}

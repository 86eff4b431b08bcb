import type { Clock } from './clock.ts';
import type { Edges } from './edges.ts';
import { SLOT_BITS, SLOTS } from './edges.ts';
import type { Ground } from './ground.ts';
import type { HostLinks } from './host-links.ts';
import type { Hosts } from './hosts.ts';
import type { LinkShares } from './link-shares.ts';
import type { Mailbox } from './mailbox.ts';
import { DONE, IDLE } from './members.ts';
import type { Members } from './members.ts';
import type { Tally } from './outcome.ts';
import type { Parts } from './parts.ts';
import type { Settings } from './settings.ts';
import { TICKS_PER_MS } from './ticks.ts';
import type { Transfers } from './transfers.ts';
import { DECLINED, DROPPED, ENDING, FREE, HELD, LANDING, OFFERED, QUEUED, SENDING } from './transfers.ts';
import type { UploadQueue } from './upload-queue.ts';

/** Hosts that die: their connections break, and what was under way is lost. */
export class HostDeaths {
  readonly #settings: Settings;
  readonly #hosts: Hosts;
  readonly #members: Members;
  readonly #edges: Edges;
  readonly #transfers: Transfers;
  readonly #queue: UploadQueue;
  readonly #links: HostLinks;
  readonly #shares: LinkShares;
  readonly #clock: Clock;
  readonly #mail: Mailbox;
  readonly #tally: Tally;
  readonly #parts: Parts;

  constructor(ground: Ground, parts: Parts) {
    this.#settings = ground.settings;
    this.#hosts = ground.hosts;
    this.#members = ground.members;
    this.#edges = ground.edges;
    this.#transfers = ground.transfers;
    this.#queue = ground.queue;
    this.#links = ground.links;
    this.#shares = ground.shares;
    this.#clock = ground.clock;
    this.#mail = ground.mail;
    this.#tally = ground.tally;
    this.#parts = parts;
  }

  /** Whatever came from there, or went there, does not any more. */
  hostDies(host: number): void {
    this.#hosts.isAlive[host] = 0;
    this.#links.mute(host);
    this.#mail.post('hostLost', host, this.#hosts.toSchedulerMs(host));
    for (let task = 0; task < this.#settings.tasks; task++) {
      const member = task * this.#hosts.count + host;
      for (const edge of this.#edges.children.of(member)) {
        const child = edge >> SLOT_BITS;
        this.#mail.post(
          'parentGone',
          child,
          this.#hosts.latency(host, this.#members.hostOf(child)) / TICKS_PER_MS,
          edge & (SLOTS - 1),
        );
        for (let transfer = child; transfer < this.#transfers.end; transfer += this.#transfers.stride) {
          const phase = this.#transfers.phase[transfer];
          if (phase === FREE || phase === LANDING || this.#transfers.parent[transfer] !== member) continue;
          if (phase === SENDING || phase === ENDING) this.#shares.stop(transfer, this.#clock.tick);
          if (phase === QUEUED) this.#queue.dequeue(host, transfer);
          this.#transfers.events.cancel(transfer);
          this.#parts.sending.leavePlace(transfer);
          if (phase === OFFERED || phase === DECLINED || phase === HELD) {
            this.#transfers.phase[transfer] = FREE;
            continue;
          }
          this.#transfers.phase[transfer] = DROPPED;
        }
      }
      for (let transfer = member; transfer < this.#transfers.end; transfer += this.#transfers.stride) {
        if (this.#transfers.phase[transfer] !== FREE) this.#parts.sending.abandon(transfer);
      }
      if (this.#members.state[member] !== DONE && host < this.#settings.peers && this.#members.state[member] !== IDLE)
        this.#tally.unfinished--;
      this.#members.state[member] = IDLE;
    }
  }
}

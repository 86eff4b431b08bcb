import type { Host } from './host.ts';
import type { Peer } from './peer.ts';
import type { Roster } from './roster.ts';
import { Rounds } from './rounds.ts';
import type { Task } from './task.ts';

/** Takes out of a roster who has been silent for too long. Looks at everybody, a few thousand at a time: others wait meanwhile. */
export class Expiry {
  readonly #roster: Roster;
  readonly #hosts: Rounds<Host>;
  readonly #peers: Rounds<Peer>;
  readonly #tasks: Rounds<Task>;

  constructor(roster: Roster, nowMs: number) {
    this.#roster = roster;
    this.#hosts = new Rounds(roster.hosts, nowMs);
    this.#peers = new Rounds(roster.peers, nowMs);
    this.#tasks = new Rounds(roster.tasks, nowMs);
  }

  /** Does a part of what is due. */
  collect(nowMs: number): void {
    const { peerGcIntervalMs, taskGcIntervalMs, hostGcIntervalMs } = this.#roster.options;
    this.#hosts.go(nowMs, hostGcIntervalMs, (host) => {
      if (this.#isSilent(host, nowMs)) this.#roster.removeHost(host, nowMs);
    });
    this.#peers.go(nowMs, peerGcIntervalMs, (peer) => {
      if (this.#isExpired(peer, nowMs)) this.#roster.removePeer(peer, nowMs);
    });
    this.#tasks.go(nowMs, taskGcIntervalMs, (task) => {
      if (task.peers.size === 0 && nowMs - task.updatedAtMs >= taskGcIntervalMs) this.#roster.removeTask(task);
    });
  }

  #isSilent({ facts, announcedAtMs }: Host, nowMs: number): boolean {
    return facts.announceIntervalMs !== undefined && nowMs - announcedAtMs > 2 * facts.announceIntervalMs;
  }

  #isExpired({ state, host, updatedAtMs, demand }: Peer, nowMs: number): boolean {
    const { pieceSilenceMs, peerTtlMs, hostTtlMs } = this.#roster.options;
    if (demand.kind === 'waiting') return false;
    if (state === 'Failed' || state === 'Leave') return true;
    const idleMs = nowMs - updatedAtMs;
    if ((state === 'Running' || state === 'BackToSource') && idleMs > pieceSilenceMs) return true;
    return idleMs > peerTtlMs || nowMs - Math.max(host.announcedAtMs, host.heardAtMs) > hostTtlMs;
  }
}

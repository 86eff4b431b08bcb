import type { Host } from './host.ts';
import type { Peer } from './peer.ts';
import type { Roster } from './roster.ts';

/** Takes out of a roster who has been silent for too long. Looks at everybody, so it works at intervals. */
export class Expiry {
  readonly #roster: Roster;
  #peerGcAtMs: number;
  #taskGcAtMs: number;
  #hostGcAtMs: number;

  constructor(roster: Roster, nowMs: number) {
    this.#roster = roster;
    this.#peerGcAtMs = this.#taskGcAtMs = this.#hostGcAtMs = nowMs;
  }

  /** Does what is due. */
  collect(nowMs: number): void {
    const { peerGcIntervalMs, taskGcIntervalMs, hostGcIntervalMs } = this.#roster.options;
    if (nowMs - this.#hostGcAtMs >= hostGcIntervalMs) {
      this.#hostGcAtMs = nowMs;
      for (const host of this.#roster.hosts.values())
        if (this.#isSilent(host, nowMs)) this.#roster.removeHost(host, nowMs);
    }
    if (nowMs - this.#peerGcAtMs >= peerGcIntervalMs) {
      this.#peerGcAtMs = nowMs;
      for (const peer of this.#roster.peers.values())
        if (this.#isExpired(peer, nowMs)) this.#roster.removePeer(peer, nowMs);
    }
    if (nowMs - this.#taskGcAtMs >= taskGcIntervalMs) {
      this.#taskGcAtMs = nowMs;
      for (const task of this.#roster.tasks.values()) {
        if (task.peers.size === 0 && nowMs - task.updatedAtMs >= taskGcIntervalMs) this.#roster.removeTask(task);
      }
    }
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

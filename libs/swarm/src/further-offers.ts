import type { Peer } from './peer.ts';
import type { Roster } from './roster.ts';
import type { Task } from './task.ts';

/** More are not told of further parents in one go, all tasks together: whoever comes meanwhile waits for them. */
const MAX_AT_ONCE = 100;
/** After how long the next ones are; and where so many come in a millisecond: those who have no parents yet come first. */
const PAUSE_MS = 1;
const PAUSE_IN_A_CROWD_MS = 25;
const MANY_JOINED_PER_MS = 2;

/** When daemons of ours are told of parents that came after those that they were told of, or instead of them. */
export class FurtherOffers {
  readonly #roster: Roster;
  readonly #offerMore: (child: Peer, nowMs: number) => void;
  /** Children that came since further offers were last made, and when that was. */
  #joined = 0;
  #madeAtMs = -Infinity;
  /** More are not made before. */
  #nextAtMs = -Infinity;

  /** @param offerMore finds more parents for a child, and offers them */
  constructor(roster: Roster, offerMore: (child: Peer, nowMs: number) => void) {
    this.#roster = roster;
    this.#offerMore = offerMore;
  }

  /** So many children were offered their first parents. */
  joined(count: number): void {
    this.#joined += count;
  }

  /** Makes a few of those that are due, and has itself called again soon for the rest. */
  tick(nowMs: number): void {
    if (nowMs < this.#nextAtMs) return;
    const { refreshable, decisions } = this.#roster;
    const isCrowd = this.#joined > MANY_JOINED_PER_MS * (nowMs - this.#madeAtMs);
    this.#joined = 0;
    this.#madeAtMs = nowMs;
    let left = MAX_AT_ONCE;
    for (const task of refreshable) {
      left -= this.#make(task, nowMs, left);
      if (left > 0) continue;
      // The others first.
      refreshable.delete(task);
      refreshable.add(task);
      this.#nextAtMs = nowMs + (isCrowd ? PAUSE_IN_A_CROWD_MS : PAUSE_MS);
      decisions.push({ kind: 'tickAt', atMs: this.#nextAtMs });
      return;
    }
  }

  /** @returns how many were made, up to `limit` */
  #make(task: Task, nowMs: number, limit: number): number {
    const { offerRefreshMs, ownCandidateParentLimit } = this.#roster.options;
    const dueMs = nowMs - offerRefreshMs;
    let due = 0;
    for (let peer = task.recent[due]; peer !== undefined && peer.offeredAtMs <= dueMs; peer = task.recent[++due]);
    if (due > 0)
      for (const child of task.recent.splice(0, due))
        if (child.parents.size < ownCandidateParentLimit && child.isListening) task.stale.add(child);
    let isDeferred = task.recent.length > 0;
    let told = 0;
    for (const child of task.stale) {
      if (told >= limit) {
        isDeferred = true;
        break;
      }
      if (!child.isListening) {
        task.stale.delete(child);
      } else if (child.offeredAtMs > dueMs) {
        isDeferred = true;
      } else {
        task.stale.delete(child);
        told++;
        this.#offerMore(child, nowMs);
      }
    }
    if (!isDeferred && task.stale.size === 0) this.#roster.refreshable.delete(task);
    return told;
  }
}

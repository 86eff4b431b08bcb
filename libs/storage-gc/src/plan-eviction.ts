import { watermarks } from './watermarks.ts';
import type { DiskUsage } from './watermarks.ts';
import type { EvictionPolicy } from './policy.ts';

/** A stored task, as far as eviction cares. */
export interface EvictableTask {
  readonly taskId: string;
  /** What removing it frees. */
  readonly bytes: number;
  /** When anybody last read, wrote or uploaded some of it; Unix time in milliseconds. */
  readonly usedAtMs: number;
  /** How many clients, children and downloads hold it right now. */
  readonly readers: number;
  /** All pieces are there. */
  readonly isComplete: boolean;
  /** Somebody decided that it stays, however old it is and however full the disk. */
  readonly isPinned: boolean;
}

/**
 * Why a task has to go: nobody used it for long (`expired`), the disk or our share of it is too full (`watermark`), all tasks together have
 * come to the configured number of bytes (`threshold`), a new task needs the room (`admission`), or a write found no room (`diskFull`).
 */
export type EvictionReason = 'expired' | 'watermark' | 'threshold' | 'admission' | 'diskFull';

/** A task to remove. */
export interface Victim {
  readonly taskId: string;
  readonly bytes: number;
  readonly reason: EvictionReason;
}

/**
 * Chooses the tasks to remove, in the order in which to remove them. Never one that is pinned or has readers, nor an unfinished one
 * that may still be worked on; least recently used first. Tasks leave for a new one only when it fits in afterwards.
 * @param now Unix time in milliseconds
 * @param wantedBytes what new tasks are going to take, beside what is on disk; 0 for a routine run
 */
export function planEviction(
  tasks: Iterable<EvictableTask>,
  usage: DiskUsage,
  policy: EvictionPolicy,
  now: number,
  wantedBytes = 0,
): Victim[] {
  const candidates: EvictableTask[] = [];
  let taskBytes = 0;
  let evictableBytes = 0;
  let hasExpired = false;
  for (const task of tasks) {
    taskBytes += task.bytes;
    if (!isEvictable(task, policy, now)) continue;
    candidates.push(task);
    evictableBytes += task.bytes;
    hasExpired ||= now - task.usedAtMs >= policy.taskTtlMs;
  }
  const { capacityBytes, marks } = watermarks(policy, usage, taskBytes);
  const freeBytes = Math.min(usage.availableBytes, capacityBytes - taskBytes);
  const isShort = freeBytes < wantedBytes && freeBytes + evictableBytes >= wantedBytes;
  // Most runs find nothing to do; sorting a large store for them would be felt by everybody.
  if (!hasExpired && !isShort && !marks.some(({ highBytes }) => taskBytes >= highBytes)) return [];

  candidates.sort(leastRecentlyUsedFirst);
  const victims: Victim[] = [];
  let freedBytes = 0;
  const evictWhile = (reason: EvictionReason, isNeeded: (next: EvictableTask) => boolean): void => {
    for (let next = candidates[victims.length]; next !== undefined && isNeeded(next);) {
      victims.push({ taskId: next.taskId, bytes: next.bytes, reason });
      freedBytes += next.bytes;
      next = candidates[victims.length];
    }
  };
  evictWhile('expired', ({ usedAtMs }) => now - usedAtMs >= policy.taskTtlMs);
  for (const { reason, highBytes, lowBytes } of marks) {
    if (taskBytes - freedBytes >= highBytes) evictWhile(reason, () => taskBytes - freedBytes > lowBytes);
  }
  if (isShort) evictWhile('admission', () => freeBytes + freedBytes < wantedBytes);
  return victims;
}

/**
 * Chooses the tasks that make room for a write which the disk, or a quota that cannot be measured, has refused: least recently used
 * first, until they come to `wantedBytes`.
 * @param neededBytes without these nothing is helped, and nothing goes
 */
export function planRelief(
  tasks: Iterable<EvictableTask>,
  policy: EvictionPolicy,
  now: number,
  neededBytes: number,
  wantedBytes: number,
): Victim[] {
  const candidates = [...tasks].filter((task) => task.bytes > 0 && isEvictable(task, policy, now));
  if (candidates.reduce((sum, { bytes }) => sum + bytes, 0) < neededBytes) return [];
  const victims: Victim[] = [];
  let freedBytes = 0;
  for (const { taskId, bytes } of candidates.sort(leastRecentlyUsedFirst)) {
    if (freedBytes >= wantedBytes) break;
    victims.push({ taskId, bytes, reason: 'diskFull' });
    freedBytes += bytes;
  }
  return victims;
}

function isEvictable(task: EvictableTask, policy: EvictionPolicy, now: number): boolean {
  return !task.isPinned && task.readers === 0 && (task.isComplete || now - task.usedAtMs >= policy.unfinishedIdleMs);
}

/** Of two used at the same time the larger goes first: fewer victims. Then by id, so that a plan can be repeated. */
function leastRecentlyUsedFirst(a: EvictableTask, b: EvictableTask): number {
  return a.usedAtMs - b.usedAtMs || b.bytes - a.bytes || (a.taskId < b.taskId ? -1 : 1);
}

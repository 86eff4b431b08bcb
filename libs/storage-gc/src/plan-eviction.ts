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
}

/** The file system that holds the tasks, and much else perhaps. */
export interface DiskUsage {
  readonly totalBytes: number;
  /** What we may still write. */
  readonly availableBytes: number;
}

/**
 * Why a task has to go: nobody used it for long (`expired`), the disk is too full (`watermark`), our share of the disk is
 * too full (`threshold`), or a new task needs the room (`admission`).
 */
export type EvictionReason = 'expired' | 'watermark' | 'threshold' | 'admission';

/** A task to remove. */
export interface Victim {
  readonly taskId: string;
  readonly bytes: number;
  readonly reason: EvictionReason;
}

/**
 * Chooses the tasks to remove, in the order in which to remove them. Never one with readers, nor an unfinished one that
 * may still be worked on; least recently used first. Tasks leave for a new one only when it fits in afterwards.
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
  const all = [...tasks];
  const candidates = all.filter((task) => isEvictable(task, policy, now)).sort(leastRecentlyUsedFirst);
  const taskBytes = all.reduce((sum, { bytes }) => sum + bytes, 0);
  const { diskThresholdBytes } = policy;
  const capacityBytes = diskThresholdBytes ?? usage.totalBytes;
  const usedBytes = diskThresholdBytes === undefined ? usage.totalBytes - usage.availableBytes : taskBytes;
  const victims: Victim[] = [];
  let evicted = 0; // of `candidates`, from the front
  let freedBytes = 0;
  const evictWhile = (reason: EvictionReason, isNeeded: (next: EvictableTask) => boolean): void => {
    for (let next = candidates[evicted]; next !== undefined && isNeeded(next); next = candidates[++evicted]) {
      victims.push({ taskId: next.taskId, bytes: next.bytes, reason });
      freedBytes += next.bytes;
    }
  };

  evictWhile('expired', ({ usedAtMs }) => now - usedAtMs >= policy.taskTtlMs);
  if (usedBytes - freedBytes >= (capacityBytes * policy.highWatermarkPercent) / 100) {
    const reason = diskThresholdBytes === undefined ? 'watermark' : 'threshold';
    evictWhile(reason, () => usedBytes - freedBytes > (capacityBytes * policy.lowWatermarkPercent) / 100);
  }
  if (wantedBytes > 0) {
    const freeBytes = Math.min(usage.availableBytes, capacityBytes - usedBytes);
    const evictableBytes = candidates.reduce((sum, { bytes }) => sum + bytes, 0);
    if (freeBytes + evictableBytes >= wantedBytes) evictWhile('admission', () => freeBytes + freedBytes < wantedBytes);
  }
  return victims;
}

function isEvictable(task: EvictableTask, policy: EvictionPolicy, now: number): boolean {
  return task.readers === 0 && (task.isComplete || now - task.usedAtMs >= policy.unfinishedIdleMs);
}

/** Of two used at the same time the larger goes first: fewer victims. Then by id, so that a plan can be repeated. */
function leastRecentlyUsedFirst(a: EvictableTask, b: EvictableTask): number {
  return a.usedAtMs - b.usedAtMs || b.bytes - a.bytes || (a.taskId < b.taskId ? -1 : 1);
}

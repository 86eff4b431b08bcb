import { statfs } from 'node:fs/promises';
import type { DiskTask } from './disk-task.ts';

/** Bytes of a store and of the disk it is on. */
export interface StoreUsage {
  readonly taskCount: number;
  /** Finished pieces of all tasks. */
  readonly usedBytes: number;
  /** What unfinished tasks still need while somebody may work on them; nobody else gets it. */
  readonly reservedBytes: number;
  /** Most that finished pieces may come to: the configured share, or what the file system can give. */
  readonly capacityBytes: number;
  /** What a new task may have, reservations taken off. */
  readonly freeBytes: number;
}

/** A file system. */
export interface DiskSpace {
  /** What an ordinary process may still write. */
  readonly availableBytes: number;
  readonly totalBytes: number;
}

/** Measures the file system that `path` is on. */
export type MeasureDisk = (path: string) => Promise<DiskSpace>;

export const measureDisk: MeasureDisk = async (path) => {
  const { bavail, blocks, bsize } = await statfs(path);
  return { availableBytes: bavail * bsize, totalBytes: blocks * bsize };
};

/**
 * @param thresholdBytes the configured share of the disk; undefined for all of it
 * @param disk as measured now
 * @param isActive whether an unfinished task may still grow; one that was given up reserves nothing
 */
export function usageOf(
  tasks: Iterable<DiskTask>,
  thresholdBytes: number | undefined,
  disk: DiskSpace,
  isActive: (task: DiskTask) => boolean,
): StoreUsage {
  let [taskCount, usedBytes, reservedBytes] = [0, 0, 0];
  for (const task of tasks) {
    taskCount++;
    usedBytes += task.finishedBytes;
    if (isActive(task)) reservedBytes += task.layout.contentLength - task.finishedBytes;
  }
  const capacityBytes = Math.min(thresholdBytes ?? Infinity, disk.availableBytes + usedBytes);
  // What is written of unfinished pieces counts twice: at most a few pieces, and on the safe side.
  return {
    taskCount,
    usedBytes,
    reservedBytes,
    capacityBytes,
    freeBytes: Math.max(0, capacityBytes - usedBytes - reservedBytes),
  };
}

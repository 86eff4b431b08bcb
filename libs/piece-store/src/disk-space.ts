import { statfs } from 'node:fs/promises';
import type { DiskUsage } from '@d7y/storage-gc';

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

/** Measures the file system that `path` is on. */
export type MeasureDisk = (path: string) => Promise<DiskUsage>;

export const measureDisk: MeasureDisk = async (path) => {
  const { bavail, blocks, bsize } = await statfs(path);
  return { availableBytes: bavail * bsize, totalBytes: blocks * bsize };
};

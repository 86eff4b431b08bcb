import type { EvictionPolicy } from './policy.ts';

/** The file system that holds the tasks, and much else perhaps. */
export interface DiskUsage {
  readonly totalBytes: number;
  /** What we may still write. */
  readonly availableBytes: number;
}

/** Tasks that come to `highBytes` in total shrink until they are no more than `lowBytes`. */
export interface Watermark {
  readonly reason: 'watermark' | 'threshold';
  readonly highBytes: number;
  readonly lowBytes: number;
}

export interface Watermarks {
  /** Most that all tasks may come to. */
  readonly capacityBytes: number;
  readonly marks: readonly Watermark[];
}

/** However full others make the disk, a watermark leaves tasks this share of what the others leave, in percent. */
const FLOOR_PERCENT = 25;

/**
 * The marks of a policy, all as bytes of tasks. On a file system shared with others the watermarks speak of everything on it, but
 * only tasks can go. So they shrink as far as the low watermark asks, and yet not below a share of the room that others leave: a disk that is
 * filled by others would otherwise cost all of them, again and again, and be full nevertheless.
 * @param taskBytes of all tasks
 */
export function watermarks(policy: EvictionPolicy, usage: DiskUsage, taskBytes: number): Watermarks {
  const { capacityBytes, thresholdBytes, highWatermarkPercent, lowWatermarkPercent } = policy;
  // Negative where the file system compresses what we write.
  const othersBytes = capacityBytes === undefined ? usage.totalBytes - usage.availableBytes - taskBytes : 0;
  const wholeBytes = capacityBytes ?? usage.totalBytes;
  const roomBytes = wholeBytes - othersBytes;
  const floorBytes = (roomBytes * Math.min(FLOOR_PERCENT, lowWatermarkPercent)) / 100;
  const marks: Watermark[] = [
    {
      reason: 'watermark',
      // Where others alone are above the mark, everything beyond the floor is too much.
      highBytes: Math.max((wholeBytes * highWatermarkPercent) / 100 - othersBytes, floorBytes),
      lowBytes: Math.max((wholeBytes * lowWatermarkPercent) / 100 - othersBytes, floorBytes),
    },
  ];
  if (thresholdBytes !== undefined) {
    marks.push({
      reason: 'threshold',
      highBytes: thresholdBytes,
      lowBytes: (thresholdBytes * lowWatermarkPercent) / 100,
    });
  }
  return { capacityBytes: roomBytes, marks };
}

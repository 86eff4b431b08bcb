import type { common } from '@d7y/api';
import { createLayout } from '@d7y/piece';
import type { Priority, RegistrationFacts } from '@d7y/swarm';

/**
 * What the swarm needs of a registration. A length that the message leaves out is one the peer does not know; it does not
 * make the task empty.
 */
export function toRegistrationFacts(
  ids: { readonly hostId: string; readonly taskId: string; readonly peerId: string },
  download: common.Download,
): RegistrationFacts {
  const contentLength = safeNumber(download.actualContentLength);
  const pieceLength = safeNumber(download.actualPieceLength) || undefined;
  const pieceCount = safeNumber(download.actualPieceCount);
  return {
    hostId: ids.hostId,
    taskId: ids.taskId,
    peerId: ids.peerId,
    priority: toPriority(download.priority),
    range:
      download.range === undefined
        ? undefined
        : { start: Number(download.range.start), length: Number(download.range.length) },
    needBackToSource: download.needBackToSource,
    metadataOnly: download.metadataOnly,
    concurrentPieceCount: download.concurrentPieceCount,
    contentLength,
    pieceLength,
    pieceCount:
      pieceCount ??
      (contentLength === undefined || pieceLength === undefined
        ? undefined
        : createLayout(contentLength, pieceLength).pieceCount),
  };
}

/** Undefined also for what no file can be as long as: -1 of a failed download arrives as a huge number. */
export function safeNumber(value: bigint | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  return Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

const PRIORITIES: readonly Priority[] = [0, 1, 2, 3, 4, 5, 6];

/** Levels that the protocol does not know count as the default. */
export function toPriority(level: number): Priority {
  return PRIORITIES[level] ?? 0;
}

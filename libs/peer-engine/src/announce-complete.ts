import { hashedUrl, peerIdOf } from '@d7y/piece';
import type { EngineComponents } from './engine-options.ts';
import type { StoredTask } from './ports/task-store.ts';
import type { TaskRequest } from './task-request.ts';
import { PRIORITY_SELF } from './registration.ts';
import { pieceLengthOfRequest } from './task-request.ts';

/** Time a scheduler has for the whole of it, in ms. */
const DEADLINE_MS = 5_000;

/**
 * Tells the task's scheduler that this host holds all of it. Resolves, never rejects, when the scheduler has taken note or
 * time is up: whoever had us fetch the task must hear that we have it before it hears that we are done.
 */
export async function announceComplete(
  stored: StoredTask,
  request: TaskRequest,
  { host, schedulers, uuid, logger }: EngineComponents,
  signal: AbortSignal,
): Promise<void> {
  const [scheduler] = schedulers.candidates(stored.taskId);
  if (scheduler === undefined) return;
  const { layout, taskId } = stored;
  const announcement = scheduler.announcePeer(
    {
      hostId: host.hostId,
      taskId,
      peerId: peerIdOf(host, uuid()),
      // Content that was rebuilt after its records were lost has no URL of its own.
      url: stored.url === '' ? hashedUrl(request.url, request.filteredQueryParams) : stored.url,
      tag: request.tag,
      application: request.application,
      digest: stored.digest,
      filteredQueryParams: request.filteredQueryParams,
      requestHeaders: {},
      requestedPieceLength: pieceLengthOfRequest(request),
      priority: stored.isPrivate ? PRIORITY_SELF : request.priority,
      range: undefined,
      contentLength: layout.contentLength,
      pieceLength: layout.pieceLength,
      needBackToSource: false,
      metadataOnly: true,
      concurrentPieceCount: 1,
      contentForCalculatingTaskId: request.contentForCalculatingTaskId,
      enableTaskIdBasedBlobDigest: request.enableTaskIdBasedBlobDigest,
    },
    { signal: AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]) },
  );
  try {
    for await (const instruction of announcement.instructions) {
      if (instruction.kind !== 'metadataOnly') break;
      announcement.started();
      return await announcement.finished(layout.contentLength, layout.pieceCount);
    }
    announcement.abort();
  } catch (error) {
    logger.debug({ taskId, err: error }, 'a scheduler does not take note of a task held here');
  }
}

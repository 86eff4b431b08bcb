import type { TaskRequest } from '@d7y/peer-engine';
import type { Access } from './access/access-request.ts';
import type { RegistryProxyConfig } from './config.ts';
import type { RoutedTask } from './route.ts';

/** Priority LEVEL3: this peer goes to the origin itself; no seed could. */
const PRIORITY_OF_PRIVATE = 3;

/** What the engine is asked for, once it is known what the caller may have. */
export function taskRequestOf(
  task: RoutedTask,
  access: Access,
  rangeHeader: string | undefined,
  config: RegistryProxyConfig,
): TaskRequest {
  const { asked } = task;
  return {
    url: task.url,
    tag: asked.tag,
    application: asked.application,
    filteredQueryParams: task.filteredQueryParams,
    requestedPieceLength: asked.pieceLength ?? config.pieceLength,
    contentForCalculatingTaskId: asked.contentForCalculatingTaskId,
    // By its digest alone private content would be found through any repository, also of a registry that accepts everybody.
    enableTaskIdBasedBlobDigest:
      !access.isPrivate && (asked.enableTaskIdBasedBlobDigest ?? config.enableTaskIdBasedBlobDigest),
    priority: access.isPrivate ? PRIORITY_OF_PRIVATE : asked.priority,
    headers: task.access.headers,
    credentials: access.credentials,
    isAccepted: access.isAccepted,
    rangeHeader,
    prefetch: rangeHeader !== undefined && (asked.prefetch ?? config.prefetch),
    disableBackToSource: config.disableBackToSource,
    needBackToSource: false,
  };
}

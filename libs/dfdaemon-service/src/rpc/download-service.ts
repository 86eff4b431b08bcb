import type { ServiceImpl } from '@connectrpc/connect';
import type { dfdaemon } from '@d7y/api';
import type { BlockListSource } from '@d7y/registry-proxy';
import type { OutputRoots } from '../output/output-roots.ts';
import { downloadTask, type DownloadTaskPorts } from './download-task.ts';
import type { TaskAdmin } from './local-tasks.ts';
import { unimplemented } from './unimplemented.ts';

export interface DownloadServicePorts extends DownloadTaskPorts {
  readonly admin: TaskAdmin;
  readonly outputRoots: OutputRoots;
  /** @see DownloadRights.pieceLength */
  readonly pieceLength?: number | undefined;
  /** @see DownloadRights.blockLists */
  readonly blockLists?: BlockListSource | undefined;
  readonly onBlocked?: (() => void) | undefined;
  /** Takes this host out of all schedulers. */
  readonly leave: (options: { signal: AbortSignal }) => Promise<void>;
}

/** dfdaemon.v2.DfdaemonDownload: what programs on this machine ask of their daemon. */
export const downloadService = (
  ports: DownloadServicePorts,
): Partial<ServiceImpl<typeof dfdaemon.DfdaemonDownload>> => ({
  downloadTask: downloadTask(ports, {
    outputRoots: ports.outputRoots,
    pieceLength: ports.pieceLength,
    blockLists: ports.blockLists,
    onBlocked: ports.onBlocked,
    outlivesCaller: undefined,
  }),
  statTask: ({ taskId }, { signal }) => ports.admin.stat(taskId, { signal }),
  statLocalTask: ({ taskId }) => ports.admin.statLocal(taskId),
  listLocalTasks: () => ports.admin.listLocal(),
  listTaskEntries: unimplemented('listTaskEntries'),
  async deleteTask({ taskId }, { signal }) {
    await ports.admin.delete(taskId, { signal });
    return {};
  },
  async deleteLocalTask({ taskId }) {
    await ports.admin.deleteLocal(taskId);
    return {};
  },
  async deleteHost(_request, { signal }) {
    await ports.leave({ signal });
    return {};
  },
  downloadPersistentTask: unimplemented('persistent'),
  uploadPersistentTask: unimplemented('persistent'),
  statPersistentTask: unimplemented('persistent'),
  statLocalPersistentTask: unimplemented('persistent'),
  listLocalPersistentTasks: unimplemented('persistent'),
  downloadPersistentCacheTask: unimplemented('persistent'),
  uploadPersistentCacheTask: unimplemented('persistent'),
  statPersistentCacheTask: unimplemented('persistent'),
  statLocalPersistentCacheTask: unimplemented('persistent'),
  listLocalPersistentCacheTasks: unimplemented('persistent'),
  downloadCacheTask: unimplemented('cache'),
  statCacheTask: unimplemented('cache'),
  deleteCacheTask: unimplemented('cache'),
});

import type { ServiceImpl } from '@connectrpc/connect';
import type { dfdaemon } from '@d7y/api';
import { syncPiecesStream, type TaskPieces } from '@d7y/peer-protocol';
import { delay } from '@d7y/service-kit';
import { context } from '@opentelemetry/api';
import type { HostFacts } from '../host/host-facts.ts';
import type { ChildTraces } from '../upload/child-traces.ts';
import { downloadTask, type DownloadTaskPorts } from './download-task.ts';
import type { TaskAdmin } from './local-tasks.ts';
import { DownloadRefusedError } from './task-request-message.ts';
import { unimplemented } from './unimplemented.ts';

export interface UploadServicePorts extends DownloadTaskPorts {
  readonly admin: TaskAdmin;
  /** What other daemons follow. */
  readonly piecesForChildren: TaskPieces;
  readonly traces: ChildTraces;
  readonly facts: Pick<HostFacts, 'describeLoad'>;
  /** Where the piece server is, as children reach it. */
  readonly pieceServer: { readonly ip: string; readonly tcpPort: number | undefined };
  readonly disableShared: boolean;
  /** Aborted when the daemon stops. */
  readonly lifetime: AbortSignal;
}

/** SyncHost tells its figures this often. */
const SYNC_HOST_INTERVAL_MS = 1_000;

/** dfdaemon.v2.DfdaemonUpload: what other daemons and schedulers ask of this one. */
export const uploadService = (ports: UploadServicePorts): Partial<ServiceImpl<typeof dfdaemon.DfdaemonUpload>> => ({
  downloadTask: downloadTask(ports, { outputRoots: undefined, outlivesCaller: ports.lifetime }),
  statTask: ({ taskId }, { signal }) => ports.admin.stat(taskId, { signal }),
  statLocalTask: ({ taskId }) => ports.admin.statLocal(taskId),
  listTaskEntries: unimplemented('listTaskEntries'),
  async deleteTask({ taskId }, { signal }) {
    await ports.admin.delete(taskId, { signal });
    return {};
  },
  syncPieces({ taskId, hostId, interestedPieceNumbers }, { signal }) {
    if (ports.disableShared) throw new DownloadRefusedError('this daemon shares nothing');
    ports.traces.remember(taskId, hostId, context.active());
    return syncPiecesStream(ports.piecesForChildren, { taskId, hostId, interestedPieceNumbers }, ports.pieceServer, {
      signal,
    });
  },
  async *syncHost(_request, { signal }) {
    while (!signal.aborted) {
      yield await ports.facts.describeLoad();
      await delay(SYNC_HOST_INTERVAL_MS, { signal, unref: true }).catch(() => undefined);
    }
  },
  downloadPersistentTask: unimplemented('persistent'),
  updatePersistentTask: unimplemented('persistent'),
  statPersistentTask: unimplemented('persistent'),
  deletePersistentTask: unimplemented('persistent'),
  syncPersistentPieces: unimplemented('persistent'),
  downloadPersistentCacheTask: unimplemented('persistent'),
  updatePersistentCacheTask: unimplemented('persistent'),
  statPersistentCacheTask: unimplemented('persistent'),
  deletePersistentCacheTask: unimplemented('persistent'),
  syncPersistentCachePieces: unimplemented('persistent'),
  downloadCacheTask: unimplemented('cache'),
  downloadCachePiece: unimplemented('cache'),
  statCacheTask: unimplemented('cache'),
  deleteCacheTask: unimplemented('cache'),
  syncCachePieces: unimplemented('cache'),
  exchangeIBVerbsQueuePairEndpoint: unimplemented('ibVerbs'),
});

/** Streams that daemons keep open for hours, though stock ones ask for an answer within ten seconds. */
export const LONG_STREAMS = [
  '/dfdaemon.v2.DfdaemonUpload/SyncPieces',
  '/dfdaemon.v2.DfdaemonUpload/SyncHost',
  '/d7y.swarm.v1.SwarmService/FollowVouchers',
];

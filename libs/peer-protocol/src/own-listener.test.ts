import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from '@jest/globals';
import { common, dfdaemon, scheduler } from '@d7y/api';
import { AsyncQueue, listen } from '@d7y/service-kit';
import { logger, TASK_ID } from './_rig.ts';
import { backendErrorOf, toBackendConnectError } from './backend-error.ts';
import { createParentClientPool } from './parent-client.ts';
import { syncPiecesStream } from './piece-sync.ts';
import { createSchedulerClient } from './scheduler-client.ts';

const signal = new AbortController().signal;
const SYNC_PIECES = '/dfdaemon.v2.DfdaemonUpload/SyncPieces';

describe('behind the listener of our services', () => {
  it('pieces are announced as they are finished, long after the headers', async () => {
    const news = new AsyncQueue<number>(10);
    const watch = {
      finished: [0],
      newlyFinished: news,
      state: () => 'running' as const,
      piece: (number: number) => ({ offset: number * 100, length: 100 }),
      [Symbol.dispose]: () => undefined,
    };
    await using server = await listen({
      ...{ host: '127.0.0.1', logger, longStreams: [SYNC_PIECES] },
      grpc: (router) =>
        router.service(dfdaemon.DfdaemonUpload, {
          syncPieces: (request, context) =>
            syncPiecesStream(
              { opening: () => undefined, watch: () => watch },
              request,
              { ip: '10.0.0.2', tcpPort: 4005 },
              context,
            ),
        }),
    });
    await using pool = createParentClientPool({ hostId: 'me', version: '1' });
    const request = { taskId: TASK_ID, hostId: 'me', interested: [0, 5] };
    const numbers: number[] = [];
    for await (const { number } of pool.at({ ip: '127.0.0.1', port: server.port }).syncPieces(request, { signal })) {
      numbers.push(number);
      if (number === 0) news.push(5);
    }
    expect(numbers).toEqual([0, 5]);
  });

  it('what the origin said reaches the caller, before and after the first message', async () => {
    await using server = await listen({
      ...{ host: '127.0.0.1', logger },
      grpc: (router) =>
        router.service(dfdaemon.DfdaemonUpload, {
          async *downloadTask({ download }, context) {
            if (download?.prefetch) yield { taskId: TASK_ID };
            throw toBackendConnectError(context, { message: 'gone', headers: { a: 'b' }, status: 410 });
          },
        }),
    });
    await using pool = createParentClientPool({ hostId: 'me', version: '1' });
    for (const prefetch of [false, true]) {
      const download = create(common.DownloadSchema, { url: 'https://a.example/', prefetch });
      const parent = pool.at({ ip: '127.0.0.1', port: server.port });
      const caught = await (async () => {
        for await (const _ of parent.downloadTask(download, { signal })) continue;
      })().catch((error: unknown) => error);
      expect(backendErrorOf(caught)).toEqual({ message: 'gone', headers: { a: 'b' }, status: 410 });
    }
  });

  it('a conversation ends with the last words', async () => {
    await using server = await listen({
      ...{ host: '127.0.0.1', logger },
      grpc: (router) =>
        router.service(scheduler.Scheduler, {
          async *announcePeer(requests) {
            for await (const { request } of requests) {
              if (request.case === 'registerPeerRequest') {
                yield { response: { case: 'emptyTaskResponse', value: create(scheduler.EmptyTaskResponseSchema) } };
              }
              if (request.case === 'downloadPeerFinishedRequest') return;
            }
          },
        }),
    });
    await using client = createSchedulerClient({
      ...{ address: { host: '127.0.0.1', port: server.port }, hostId: 'me', version: '1', logger },
      announcementLimits: { closeTimeoutMs: 60_000 }, // so that a missing end shows as a timeout of the test
    });
    const announcement = client.announcePeer(
      {
        ...{
          hostId: 'me',
          taskId: TASK_ID,
          peerId: 'p',
          url: 'https://a.example/',
          tag: undefined,
          application: undefined,
        },
        ...{
          digest: undefined,
          filteredQueryParams: [],
          requestHeaders: {},
          requestedPieceLength: undefined,
          priority: 0,
        },
        ...{ range: undefined, contentLength: 0, pieceLength: 4_194_304, needBackToSource: false, metadataOnly: false },
        ...{ concurrentPieceCount: 8, contentForCalculatingTaskId: undefined, enableTaskIdBasedBlobDigest: false },
      },
      { signal },
    );
    const kinds: string[] = [];
    for await (const { kind } of announcement.instructions) {
      kinds.push(kind);
      void announcement.finished(0, 0);
    }
    await announcement.finished(0, 0);
    expect(kinds).toEqual(['empty']);
    expect(await client.hello({ signal })).toBeUndefined();
  });
});

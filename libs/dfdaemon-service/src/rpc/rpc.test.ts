import { createHash, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, Code, createClient, createHandlerContext } from '@connectrpc/connect';
import { common, dfdaemon, swarm } from '@d7y/api';
import { OriginStatusError } from '@d7y/peer-engine';
import { backendErrorOf, createDaemonTransport, createParentClientPool } from '@d7y/peer-protocol';
import { type AccessRequest, parseBlockList } from '@d7y/registry-proxy';
import { createRulesInterceptor } from '@d7y/message-rules';
import { listen } from '@d7y/service-kit';
import { makeServerCertificate } from '@d7y/testkit';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { FakeEngine, FakeTask, TASK_ID, taskWatchOf } from '../_fakes.ts';
import { silentLogger } from '../_silent-logger.ts';
import { OutputRoots } from '../output/output-roots.ts';
import { ChildTraces } from '../upload/child-traces.ts';
import { downloadService } from './download-service.ts';
import { downloadTask } from './download-task.ts';
import { TaskAdmin } from './local-tasks.ts';
import { OwnVouchers } from '../link/own-vouchers.ts';
import { GreetedHosts } from '../upload/greeted-hosts.ts';
import { swarmService } from './swarm-service.ts';
import { LONG_STREAMS, uploadService } from './upload-service.ts';

const IDENTITY = { ip: '127.0.0.1', hostname: 'n', hostId: '127.0.0.1-n', isSeed: false, name: 'n' };
const signal = new AbortController().signal;
const URL_OF_FILE = 'http://origin.test/file';

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

let dir: string;
let stack: AsyncDisposableStack;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'd7y-rpc-'));
  stack = new AsyncDisposableStack();
});
afterEach(async () => {
  await stack.disposeAsync();
  await rm(dir, { recursive: true });
});

async function setUp(options: { disableShared?: boolean } = {}) {
  const task = new FakeTask(2500);
  const engine = new FakeEngine(task);
  const lifetime = new AbortController();
  stack.defer(() => lifetime.abort());
  const asked: AccessRequest[] = [];
  const told: string[] = [];
  const decide = async (request: AccessRequest) => {
    asked.push(request);
    const isPrivate = Object.keys(request.credentials).length > 0;
    return { isPrivate, credentials: request.credentials, isAccepted: isPrivate };
  };
  const apart: string[] = [];
  const access = { decide, apart: (authorities: string) => (apart.push(authorities), { decide }) };
  const scheduler = {
    deleteTask: async (taskId: string) => void told.push(`delete ${taskId.slice(0, 1)}`),
    statTask: async () => create(common.TaskSchema, { id: TASK_ID, state: 'Succeeded' }),
  };
  const admin = new TaskAdmin({
    store: task.store,
    engine: task.store,
    uploads: { countsOf: () => ({ uploading: 1, uploaded: 2 }), forget: () => undefined },
    schedulers: { clientsFor: () => [scheduler as never] },
  });
  const ports = { engine, store: task.store, pieces: task, access, identity: IDENTITY, logger: silentLogger, admin };
  const socketPath = join(dir, 's');
  const interceptors = [createRulesInterceptor()];
  stack.use(
    await listen({
      path: socketPath,
      mode: 0o660,
      grpc: (router) =>
        void router.service(
          dfdaemon.DfdaemonDownload,
          downloadService({
            ...ports,
            outputRoots: new OutputRoots([dir]),
            leave: async () => void told.push('leave'),
          }),
        ),
      interceptors,
      logger: silentLogger,
    }),
  );
  const upload = stack.use(
    await listen({
      host: '127.0.0.1',
      port: 0,
      grpc: (router) => {
        router.service(
          dfdaemon.DfdaemonUpload,
          uploadService({
            ...ports,
            piecesForChildren: ports.pieces,
            traces: new ChildTraces(),
            facts: { describeLoad: async () => create(common.HostSchema, { network: { txBandwidth: 5n } }) },
            pieceServer: { ip: '127.0.0.1', tcpPort: 4005 },
            disableShared: options.disableShared ?? false,
            lifetime: lifetime.signal,
          }),
        );
        const vouchers = new OwnVouchers(task.store, IDENTITY.hostId, (taskId) => taskWatchOf(task, taskId));
        const { disableShared = false } = options;
        router.service(
          swarm.SwarmService,
          swarmService({
            greeted: new GreetedHosts(),
            hostId: IDENTITY.hostId,
            version: '9',
            vouchers,
            disableShared,
            takesTurns: true,
            maxFollowers: 2,
          }),
        );
      },
      interceptors,
      longStreams: LONG_STREAMS,
      logger: silentLogger,
      drainMs: 0,
    }),
  );
  const local = stack.use(createDaemonTransport({ socketPath }));
  const remote = stack.use(createDaemonTransport({ address: upload.address }));
  return {
    ...{ task, engine, asked, apart, told, socketPath, ports, uploadPort: upload.port },
    download: createClient(dfdaemon.DfdaemonDownload, local.transport),
    upload: createClient(dfdaemon.DfdaemonUpload, remote.transport),
    swarm: createClient(swarm.SwarmService, remote.transport),
  };
}

type Downloads = Pick<Client<typeof dfdaemon.DfdaemonUpload>, 'downloadTask'>;

async function collect(client: Downloads, download: MessageInitShape<typeof common.DownloadSchema>) {
  let started: dfdaemon.DownloadTaskStartedResponse | undefined;
  const pieces: common.Piece[] = [];
  for await (const { taskId, response } of client.downloadTask({ download: { url: URL_OF_FILE, ...download } })) {
    expect(taskId).toBe(TASK_ID);
    if (response.case === 'downloadTaskStartedResponse') started = response.value;
    if (response.case === 'downloadPieceFinishedResponse' && response.value.piece) pieces.push(response.value.piece);
  }
  return { started, pieces };
}

describe('DownloadTask', () => {
  it('tells what the task is, then each piece once', async () => {
    const { task, download, engine } = await setUp();
    await task.finish(1);
    const collected = collect(download, {});
    await until(() => engine.requests.length === 1);
    await task.finish(0, 2);
    const { started, pieces } = await collected;
    expect(started).toMatchObject({
      contentLength: 2500n,
      isFinished: false,
      responseHeader: { 'content-type': 'text/plain' },
    });
    expect(started?.pieces.map(({ number }) => number)).toContain(1);
    expect(pieces.map(({ number }) => number).sort()).toEqual([0, 1, 2]);
    expect(pieces.every(({ content }) => content === undefined || content.length === 0)).toBe(true);
    expect(engine.left).toBe(1);
  });

  it('writes the output, whole and with the digest checked', async () => {
    const { task, download } = await setUp();
    await task.finishAll();
    const outputPath = join(dir, 'out');
    await collect(download, { outputPath });
    expect(await readFile(outputPath)).toEqual(task.content);
    await expect(collect(download, { outputPath })).rejects.toMatchObject({ code: Code.InvalidArgument });
    await expect(
      collect(download, { outputPath, overwrite: true, digest: `md5:${'0'.repeat(32)}` }),
    ).rejects.toMatchObject({ code: Code.DataLoss });
    expect(await readFile(outputPath)).toEqual(task.content);
  });

  it('writes nothing for callers from the network', async () => {
    const { upload, engine } = await setUp();
    await expect(collect(upload, { outputPath: join(dir, 'out') })).rejects.toMatchObject({
      code: Code.PermissionDenied,
    });
    expect(engine.requests).toHaveLength(0);
  });

  it('sends the content in the pieces when asked to, also of a range', async () => {
    const { task, download } = await setUp();
    await task.finishAll();
    const whole = await collect(download, { needPieceContent: true });
    expect(Buffer.concat(whole.pieces.map(({ content }) => content ?? Buffer.of()))).toEqual(task.content);
    const part = await collect(download, { needPieceContent: true, range: { start: 900n, length: 1200n } });
    expect(part.started?.range).toMatchObject({ start: 900n, length: 1200n });
    expect(part.pieces.map(({ number }) => number)).toEqual([0, 1, 2]);
    expect(Buffer.concat(part.pieces.map(({ content }) => content ?? Buffer.of()))).toEqual(
      task.content.subarray(900, 2100),
    );
  });

  it('survives a task that fails while the caller still takes what came before', async () => {
    const { task, ports } = await setUp();
    await task.finish(0);
    const unheard: unknown[] = [];
    const hear = (reason: unknown): void => void unheard.push(reason);
    process.on('unhandledRejection', hear);
    try {
      const context = createHandlerContext({
        service: dfdaemon.DfdaemonDownload,
        method: dfdaemon.DfdaemonDownload.method.downloadTask,
        ...{ protocolName: 'grpc', requestMethod: 'POST', url: 'http://local/' },
      });
      const request = create(dfdaemon.DownloadTaskRequestSchema, {
        download: { url: URL_OF_FILE, needPieceContent: true },
      });
      const messages = downloadTask(ports, { outputRoots: undefined, outlivesCaller: undefined })(request, context);
      await messages.next();
      await messages.next();
      task.stateWhileIncomplete = 'failed';
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      expect(unheard).toEqual([]);
      await expect(messages.next()).rejects.toThrow('the task failed');
    } finally {
      process.off('unhandledRejection', hear);
    }
  });

  it('keeps secrets apart from plain headers, and marks what needs them as private', async () => {
    const { task, upload, engine, asked } = await setUp();
    await task.finishAll();
    await collect(upload, {
      requestHeader: { Authorization: 'Bearer planted', Accept: 'x/y' },
      needBackToSource: true,
      priority: 6,
    });
    expect(asked[0]?.headers).toEqual({ accept: 'x/y' });
    expect(engine.requests[0]).toMatchObject({ headers: { accept: 'x/y' }, priority: 3, needBackToSource: true });
    expect(engine.requests[0]?.credentials['authorization']?.reveal()).toBe('Bearer planted');
  });

  it('weakness 23: trusts the authorities that a program of this machine names, and of others where they can do no harm', async () => {
    const { task, download, upload, engine, apart } = await setUp();
    await task.finishAll();
    const { ca } = await makeServerCertificate(dir);
    const authorities = new X509Certificate(ca).toString();
    const blob = `http://registry.test/v2/team/x/blobs/sha256:${'d'.repeat(64)}`;
    const certificateChain = [new TextEncoder().encode(ca)];
    await collect(download, { certificateChain });
    await collect(download, { certificateChain, needPieceContent: true });
    await collect(upload, { certificateChain, url: blob });
    expect(engine.requests.map((request) => request.authorities)).toEqual(Array(3).fill(authorities));
    expect(apart).toEqual(Array(3).fill(authorities));
    await collect(upload, { certificateChain });
    await collect(upload, { certificateChain, url: blob, needPieceContent: true });
    await collect(download, {});
    expect(engine.requests.slice(3).map((request) => request.authorities)).toEqual(Array(3).fill(undefined));
    expect(apart).toHaveLength(3);
    for (const client of [download, upload]) {
      const tooMany = collect(client, { certificateChain: Array(17).fill(certificateChain[0]) as Uint8Array[] });
      await expect(tooMany).rejects.toMatchObject({ code: Code.InvalidArgument });
    }
  });

  it('refuses what is blocked before anybody is asked', async () => {
    const { ports, engine } = await setUp();
    const context = createHandlerContext({
      service: dfdaemon.DfdaemonDownload,
      method: dfdaemon.DfdaemonDownload.method.downloadTask,
      ...{ protocolName: 'grpc', requestMethod: 'POST', url: 'http://local/' },
    });
    const blockLists = { current: () => parseBlockList({ blockList: { task: { download: { tags: ['slow'] } } } }) };
    let blocked = 0;
    const rights = { outputRoots: undefined, outlivesCaller: undefined, blockLists, onBlocked: () => void blocked++ };
    const request = create(dfdaemon.DownloadTaskRequestSchema, { download: { url: URL_OF_FILE, tag: 'slow' } });
    await expect(downloadTask(ports, rights)(request, context).next()).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
    });
    expect(engine.requests).toEqual([]);
    expect(blocked).toBe(1);
  });

  it('says what the origin said in the form of stock daemons', async () => {
    const { download, engine } = await setUp();
    engine.failure = new OriginStatusError(URL_OF_FILE, 404, { 'content-type': 'text/html' });
    const error: unknown = await collect(download, {}).catch((caught: unknown) => caught);
    expect(backendErrorOf(error)).toMatchObject({ status: 404, headers: { 'content-type': 'text/html' } });
  });

  it('fails when the task does, and leaves it', async () => {
    const { task, download, engine } = await setUp();
    await task.finish(0);
    const failing = collect(download, {});
    await task.finish(1);
    task.stateWhileIncomplete = 'failed';
    task.end();
    await expect(failing).rejects.toMatchObject({ code: Code.Unavailable });
    expect(engine.left).toBe(1);
  });

  it('leaves the task when the caller goes', async () => {
    const { task, download, engine } = await setUp();
    await task.finish(0);
    const leaving = new AbortController();
    const { signal } = leaving;
    const read = async () => {
      for await (const { response } of download.downloadTask({ download: { url: URL_OF_FILE } }, { signal })) {
        if (response.case === 'downloadPieceFinishedResponse') leaving.abort();
      }
    };
    await expect(read()).rejects.toMatchObject({ code: Code.Canceled });
    await until(() => engine.left === 1);
  });

  it('goes on for a caller from the network that has gone, until the task is over', async () => {
    const { task, upload, engine } = await setUp();
    await task.finish(0);
    const leaving = new AbortController();
    const read = async () => {
      for await (const { response } of upload.downloadTask({ download: { url: URL_OF_FILE } }, leaving)) {
        if (response.case === 'downloadPieceFinishedResponse') leaving.abort();
      }
    };
    await expect(read()).rejects.toMatchObject({ code: Code.Canceled });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(engine.left).toBe(0);
    await task.finish(1, 2);
    await until(() => engine.left === 1);
  });

  it('weakness 23: ends when the time is over that the caller gave it, in the middle too', async () => {
    const { task, download, engine } = await setUp();
    await task.finish(0);
    const timeout = { seconds: 0n, nanos: 50_000_000 };
    await expect(collect(download, { timeout })).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    expect(engine.left).toBe(1);
    await expect(collect(download, { timeout, needPieceContent: true })).rejects.toMatchObject({
      code: Code.DeadlineExceeded,
    });
    await until(() => engine.left === 2);
  });

  it('refuses what it cannot fetch', async () => {
    const { download } = await setUp();
    await expect(collect(download, { url: 's3://bucket/key' })).rejects.toMatchObject({ code: Code.InvalidArgument });
    await expect(collect(download, { url: 'nonsense' })).rejects.toMatchObject({ code: Code.InvalidArgument });
    await expect(collect(download, { forceHardLink: true })).rejects.toMatchObject({ code: Code.InvalidArgument });
  });
});

describe('questions of tasks', () => {
  it('answers from this host', async () => {
    const { task, download, upload } = await setUp();
    await expect(upload.statLocalTask({ taskId: TASK_ID })).rejects.toMatchObject({ code: Code.NotFound });
    await task.finishAll();
    const stat = await upload.statLocalTask({ taskId: TASK_ID });
    expect(stat).toMatchObject({ contentLength: 2500n, uploadingCount: 1n, uploadedCount: 2n });
    expect(stat.finishedAt).toBeDefined();
    expect((await download.listLocalTasks({})).tasks).toHaveLength(1);
  });

  it('asks the scheduler, and tells it of deletions', async () => {
    const { task, download, upload, told } = await setUp();
    await task.finishAll();
    expect(await upload.statTask({ taskId: TASK_ID })).toMatchObject({ state: 'Succeeded' });
    await download.deleteTask({ taskId: TASK_ID });
    await download.deleteHost({});
    expect(told).toEqual(['delete c', 'leave']);
    expect([...task.store.list()]).toEqual([]);
  });

  it('names what it does not have', async () => {
    const { upload } = await setUp();
    await expect(upload.listTaskEntries({ taskId: TASK_ID, url: URL_OF_FILE })).rejects.toMatchObject({
      code: Code.Unimplemented,
      rawMessage: expect.stringContaining('no directories'),
    });
  });
});

describe('SyncPieces and SyncHost', () => {
  it('names pieces as they finish, with the port to fetch them from', async () => {
    const { task, upload } = await setUp();
    await task.finish(1);
    const named: number[] = [];
    for await (const piece of upload.syncPieces({
      hostId: '127.0.0.1-c',
      taskId: TASK_ID,
      interestedPieceNumbers: [0, 1],
    })) {
      expect(piece).toMatchObject({ ip: '127.0.0.1', tcpPort: 4005 });
      named.push(piece.number);
      if (piece.number === 1) await task.finish(0);
    }
    expect(named).toEqual([1, 0]);
  });

  it('weakness 41: shares nothing when sharing is off', async () => {
    const { task, upload } = await setUp({ disableShared: true });
    await task.finishAll();
    const sync = upload.syncPieces({ hostId: 'a', taskId: TASK_ID, interestedPieceNumbers: [0] });
    await expect(sync[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: Code.PermissionDenied });
  });

  it('tells the load of this host until the child leaves', async () => {
    const { upload } = await setUp();
    for await (const host of upload.syncHost({ hostId: 'a', peerId: 'b' })) {
      expect(host.network?.txBandwidth).toBe(5n);
      break;
    }
  });
});

it('introduces itself to our own', async () => {
  const { swarm: client } = await setUp();
  expect(await client.hello({ instanceId: 'x', version: '1' })).toMatchObject({
    instanceId: IDENTITY.hostId,
    version: '9',
  });
});

describe('FollowVouchers', () => {
  const child = async (port: number) => {
    const pool = stack.use(createParentClientPool({ hostId: 'child', version: '1' }));
    return pool.at({ ip: '127.0.0.1', port });
  };

  it('vouches for the pieces that came from the origin, and for later ones, until the download is over', async () => {
    const { task, uploadPort } = await setUp();
    await task.finish(2);
    await task.receive(1);
    const numbers: number[] = [];
    for await (const batch of (await child(uploadPort)).followVouchers(TASK_ID, { signal })) {
      expect(batch).toMatchObject({ contentLength: 2500, pieceLength: 1000 });
      for (const { pieceNumber, sha256 } of batch.vouchers) {
        const bytes = task.content.subarray(pieceNumber * 1000, pieceNumber * 1000 + 1000);
        expect(sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
        numbers.push(pieceNumber);
      }
      if (numbers.length === 1) await task.finish(0);
    }
    expect(numbers).toEqual([2, 0]);
  });

  it('has nothing to say of an unknown task', async () => {
    const { uploadPort } = await setUp();
    for await (const _batch of (await child(uploadPort)).followVouchers('unknown', { signal })) throw new Error('no');
  });

  it('says nothing when sharing is off', async () => {
    const silent = await setUp({ disableShared: true });
    await silent.task.finishAll();
    const batches = (await child(silent.uploadPort)).followVouchers(TASK_ID, { signal });
    await expect(batches[Symbol.asyncIterator]().next()).rejects.toThrow('shares nothing');
  });

  it('is open to so many at once, and to others when those have left', async () => {
    const { task, uploadPort } = await setUp();
    await task.finish(0);
    const client = await child(uploadPort);
    const leave = new AbortController();
    const open = (from: AbortSignal) => client.followVouchers(TASK_ID, { signal: from })[Symbol.asyncIterator]().next();
    await open(leave.signal);
    await open(leave.signal);
    await expect(open(signal)).rejects.toThrow('too many');
    leave.abort();
    for (;;) {
      const next = await open(signal).catch(() => undefined);
      if (next?.done === false) break;
    }
  });
});

it('weakness 46: answers calls for kinds of tasks that it does not have, and goes on', async () => {
  const { upload, download, task } = await setUp();
  await expect(upload.statCacheTask({ taskId: TASK_ID })).rejects.toMatchObject({
    code: Code.Unimplemented,
  });
  await expect(upload.deleteCacheTask({ taskId: TASK_ID })).rejects.toMatchObject({
    code: Code.Unimplemented,
  });
  await expect(upload.downloadCachePiece({ hostId: 'h', taskId: TASK_ID })).rejects.toMatchObject({
    code: Code.Unimplemented,
  });
  await expect(download.statCacheTask({ taskId: TASK_ID })).rejects.toMatchObject({ code: Code.Unimplemented });
  await task.finishAll();
  expect((await collect(download, {})).pieces).toHaveLength(3);
});

it('weakness 2: keeps strangers from the socket', async () => {
  const { socketPath } = await setUp();
  expect((await stat(socketPath)).mode & 0o777).toBe(0o660);
});

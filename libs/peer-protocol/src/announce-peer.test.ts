import { create } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import { Code, ConnectError } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { common, scheduler } from '@d7y/api';
import type { PlainGrpcServer } from './_grpc.ts';
import { startGrpcServer } from './_grpc.ts';
import { logger, TASK_ID, until } from './_rig.ts';
import type { Announcement, Instruction, PeerRegistration } from './announcement.ts';
import type { AnnouncementLimits } from './announce-peer.ts';
import { createSchedulerClient } from './scheduler-client.ts';
import type { SchedulerClient } from './scheduler.ts';

type Request = scheduler.AnnouncePeerRequest;
type Answers = AsyncIterable<{ response: scheduler.AnnouncePeerResponse['response'] }>;
type Handler = (requests: AsyncIterable<Request>, context: HandlerContext) => Answers;

const NEVER = new AbortController().signal;
const REGISTRATION: PeerRegistration = {
  hostId: '10.0.0.1-child',
  taskId: TASK_ID,
  peerId: '10.0.0.1-child-uuid',
  url: 'https://registry.example/v2/a/blobs/sha256:0',
  tag: undefined,
  application: 'app',
  digest: undefined,
  filteredQueryParams: ['ns'],
  requestHeaders: { accept: '*/*' },
  requestedPieceLength: undefined,
  priority: 0,
  range: undefined,
  contentLength: 10_000_000,
  pieceLength: 4 * 2 ** 20,
  needBackToSource: false,
  metadataOnly: false,
  concurrentPieceCount: 8,
  contentForCalculatingTaskId: undefined,
  enableTaskIdBasedBlobDigest: true,
};

const offer = (id: string, host: Partial<{ ip: string; port: number }> = {}) =>
  create(common.PeerSchema, {
    id,
    state: 'Succeeded',
    concurrentPieceCount: 8,
    task: { id: TASK_ID, contentLength: 10_000_000n },
    host: { id: `host-of-${id}`, type: 1, hostname: 'h', ip: '10.0.0.2', port: 4000, ...host },
  });
const normal = (...peers: common.Peer[]) => ({
  response: {
    case: 'normalTaskResponse' as const,
    value: create(scheduler.NormalTaskResponseSchema, { candidateParents: peers }),
  },
});
const backToSource = (description?: string) => ({
  response: {
    case: 'needBackToSourceResponse' as const,
    value: create(scheduler.NeedBackToSourceResponseSchema, description === undefined ? {} : { description }),
  },
});
const FINAL = new Set<string | undefined>([
  'downloadPeerFinishedRequest',
  'downloadPeerBackToSourceFinishedRequest',
  'downloadPeerFailedRequest',
  'downloadPeerBackToSourceFailedRequest',
]);

describe('announcePeer', () => {
  let server: PlainGrpcServer;
  let handler: Handler;
  let received: Request[];
  let client: SchedulerClient;

  /** Answers each registration and reschedule as a scheduler does, and closes after the last words. */
  const answering = (
    answer: (
      request: Request,
    ) => Awaited<ReturnType<AsyncIterator<{ response: scheduler.AnnouncePeerResponse['response'] }>['next']>>['value'],
  ): Handler =>
    async function* (requests) {
      for await (const request of requests) {
        received.push(request);
        if (FINAL.has(request.request.case)) return;
        if (request.request.case === 'registerPeerRequest' || request.request.case === 'reschedulePeerRequest') {
          yield answer(request);
        }
      }
    };
  const clientWith = (announcementLimits: Partial<AnnouncementLimits> = {}) =>
    createSchedulerClient({
      address: { host: '127.0.0.1', port: server.port },
      hostId: REGISTRATION.hostId,
      version: '1',
      logger,
      announcementLimits,
    });
  const cases = () => received.map(({ request }) => request.case);

  beforeEach(async () => {
    received = [];
    handler = answering(() => normal(offer('p1')));
    server = await startGrpcServer((router) =>
      router.service(scheduler.Scheduler, { announcePeer: (requests, context) => handler(requests, context) }),
    );
    client = clientWith();
  });
  afterEach(async () => {
    await until(() => server.openStreams === 0);
    await client[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  const first = async (announcement: Announcement): Promise<Instruction> => {
    for await (const instruction of announcement.instructions) return instruction;
    throw new Error('no instruction');
  };

  it('registers first, with what the scheduler must know', async () => {
    const announcement = client.announcePeer(REGISTRATION, { signal: NEVER });
    await first(announcement);
    await announcement.failed('enough');
    expect(received[0]).toMatchObject({ hostId: '10.0.0.1-child', taskId: TASK_ID, peerId: '10.0.0.1-child-uuid' });
    expect(received[0]?.request.value).toMatchObject({
      download: { url: REGISTRATION.url, actualContentLength: 10_000_000n, actualPieceCount: 3n, application: 'app' },
    });
  });

  it('gives the parents of an answer, without those that cannot be used', async () => {
    handler = answering(() =>
      normal(offer('p1'), offer('bad-ip', { ip: 'peer.example' }), offer('bad-port', { port: 0 })),
    );
    const announcement = client.announcePeer(REGISTRATION, { signal: NEVER });
    expect(await first(announcement)).toMatchObject({
      kind: 'parents',
      parents: [
        { peerId: 'p1', hostId: 'host-of-p1', ip: '10.0.0.2', port: 4000, isSeed: true, contentLength: 10_000_000 },
      ],
    });
    await announcement.finished(1, 1);
  });

  it('gives every kind of instruction', async () => {
    const answers = [
      { response: { case: 'emptyTaskResponse' as const, value: create(scheduler.EmptyTaskResponseSchema) } },
      { response: { case: 'metadataOnlyResponse' as const, value: create(scheduler.MetadataOnlyResponseSchema) } },
      backToSource('nobody has it'),
      backToSource(),
    ];
    handler = answering(() => answers.shift());
    const announcement = client.announcePeer(REGISTRATION, { signal: NEVER });
    const seen: Instruction[] = [];
    for await (const instruction of announcement.instructions) {
      seen.push(instruction);
      if (seen.length < 4) announcement.reschedule([], '');
      else void announcement.finished(1, 1);
    }
    expect(seen).toEqual([
      { kind: 'empty' },
      { kind: 'metadataOnly' },
      { kind: 'backToSource', reason: 'nobody has it' },
      { kind: 'backToSource', reason: undefined },
    ]);
  });

  it('reports in order, pieces with cost and time, and echoes offers in full', async () => {
    const announcement = client.announcePeer(REGISTRATION, { signal: NEVER });
    const instruction = await first(announcement);
    const parents = instruction.kind === 'parents' ? instruction.parents : [];
    const piece = { number: 0, offset: 0, length: 5, digest: 'crc32:1', costMs: 0, createdAtMs: 1_700_000_000_123 };
    announcement.started();
    announcement.pieceFinished({ ...piece, parentId: 'p1', trafficType: 'remotePeer' });
    announcement.pieceFailed(1, 'p1');
    announcement.reschedule(parents, 'slow');
    announcement.backToSourceStarted('granted');
    announcement.pieceFinished({ ...piece, number: 1, trafficType: 'backToSource' });
    await announcement.backToSourceFinished(5, 2);
    expect(cases()).toEqual([
      'registerPeerRequest',
      'downloadPeerStartedRequest',
      'downloadPieceFinishedRequest',
      'downloadPieceFailedRequest',
      'reschedulePeerRequest',
      'downloadPeerBackToSourceStartedRequest',
      'downloadPieceBackToSourceFinishedRequest',
      'downloadPeerBackToSourceFinishedRequest',
    ]);
    expect(received[2]?.request.value).toMatchObject({
      piece: { number: 0, parentId: 'p1', cost: { seconds: 0n }, createdAt: { seconds: 1_700_000_000n } },
    });
    expect(received[3]?.request.value).toMatchObject({ pieceNumber: 1, parentId: 'p1', temporary: true });
    expect(received[4]?.request.value).toMatchObject({ description: 'slow', candidateParents: [{ ...offer('p1') }] });
  });

  it('tells what the origin answered before it gives up on it', async () => {
    handler = answering(() => backToSource());
    const announcement = client.announcePeer(REGISTRATION, { signal: NEVER });
    await first(announcement);
    await announcement.backToSourceFailed('refused', { status: 403, headers: { 'x-reason': 'quota' } });
    expect(cases().slice(1)).toEqual([
      'downloadPieceBackToSourceFailedRequest',
      'downloadPeerBackToSourceFailedRequest',
    ]);
    expect(received[1]?.request.value).toMatchObject({
      response: { case: 'backend', value: { message: 'refused', statusCode: 403, header: { 'x-reason': 'quota' } } },
    });
  });

  it('pipelines thousands of reports', async () => {
    const announcement = client.announcePeer(REGISTRATION, { signal: NEVER });
    await first(announcement);
    for (let number = 0; number < 5000; number++) {
      announcement.pieceFinished({
        ...{ number, offset: number, length: 1, digest: '', costMs: 1, createdAtMs: 1 },
        trafficType: 'remotePeer',
      });
    }
    await announcement.finished(5000, 5000);
    await until(() => received.length >= 5002);
    expect(received).toHaveLength(5002);
  });

  it('ends when the scheduler closes first, and leaves no request stream waiting', async () => {
    handler = async function* () {
      yield normal(offer('p1'));
    };
    const announcement = client.announcePeer(REGISTRATION, { signal: NEVER });
    const seen: Instruction[] = [];
    for await (const instruction of announcement.instructions) seen.push(instruction);
    expect(seen).toHaveLength(1);
    await until(() => server.openStreams === 0);
    announcement.pieceFailed(1, 'p1'); // reports after the end go nowhere, quietly
    await announcement.finished(1, 1);
  });

  it('does not wait for ever for a scheduler that never closes', async () => {
    client = clientWith({ closeTimeoutMs: 20 });
    handler = async function* (_requests, { signal }) {
      yield normal(offer('p1'));
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    };
    const announcement = client.announcePeer(REGISTRATION, { signal: NEVER });
    await first(announcement);
    await announcement.finished(1, 1);
  });

  it('delivers its last words although nobody reads instructions', async () => {
    const announcement = client.announcePeer(REGISTRATION, { signal: NEVER });
    await announcement.failed('changed my mind');
    expect(cases()).toEqual(['registerPeerRequest', 'downloadPeerFailedRequest']);
  });

  it('throws what the scheduler refused with', async () => {
    handler = async function* () {
      yield* [];
      throw new ConnectError('forbidden', Code.FailedPrecondition);
    };
    const announcement = client.announcePeer(REGISTRATION, { signal: NEVER });
    await expect(first(announcement)).rejects.toMatchObject({
      code: 'RPC_FAILED',
      status: Code.FailedPrecondition,
      reason: 'forbidden',
      address: `127.0.0.1:${server.port}`,
    });
  });

  it('throws when the connection breaks, and connects anew for the next conversation', async () => {
    const announcement = client.announcePeer(REGISTRATION, { signal: NEVER });
    await first(announcement);
    const second = client.announcePeer(REGISTRATION, { signal: NEVER });
    const iterator = second.instructions[Symbol.asyncIterator]();
    await iterator.next();
    server.dropConnections();
    await expect(iterator.next()).rejects.toMatchObject({ code: 'RPC_FAILED', retryable: true });
    await second.failed('broken'); // returns all the same
    const third = client.announcePeer(REGISTRATION, { signal: NEVER });
    expect(await first(third)).toMatchObject({ kind: 'parents' });
    await third.finished(1, 1);
    expect(server.connectionCount).toBe(2);
  });

  it('throws when the scheduler does not accept the stream in time', async () => {
    client = clientWith({ headerTimeoutMs: 20 });
    handler = async function* (_requests, { signal }) {
      yield* [];
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    };
    const announcement = client.announcePeer(REGISTRATION, { signal: NEVER });
    await expect(first(announcement)).rejects.toMatchObject({ status: Code.DeadlineExceeded });
  });

  it('throws the reason when its signal is aborted, also before the start', async () => {
    const controller = new AbortController();
    const announcement = client.announcePeer(REGISTRATION, { signal: controller.signal });
    const iterator = announcement.instructions[Symbol.asyncIterator]();
    await iterator.next();
    controller.abort(new Error('the caller left'));
    await expect(iterator.next()).rejects.toThrow('the caller left');
    const late = client.announcePeer(REGISTRATION, { signal: controller.signal });
    await expect(first(late)).rejects.toThrow('the caller left');
  });

  it('breaks off without a word', async () => {
    const announcement = client.announcePeer(REGISTRATION, { signal: NEVER });
    const iterator = announcement.instructions[Symbol.asyncIterator]();
    await iterator.next();
    announcement.abort();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    await until(() => server.openStreams === 0);
    expect(cases()).toEqual(['registerPeerRequest']);
  });

  it('breaks when more reports wait than it may keep', async () => {
    client = clientWith({ maxQueuedReports: 3 });
    const announcement = client.announcePeer(REGISTRATION, { signal: NEVER });
    for (let count = 0; count < 10; count++) announcement.pieceFailed(count, 'p1');
    await expect(first(announcement)).rejects.toMatchObject({ code: 'ANNOUNCEMENT_BACKLOG' });
  });
});

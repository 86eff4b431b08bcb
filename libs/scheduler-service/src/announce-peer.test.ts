import { createServer } from 'node:http';
import { connect, constants } from 'node:http2';
import { once } from 'node:events';
import { create, fromBinary, toBinary, toJsonString } from '@bufbuild/protobuf';
import { Code, createClient } from '@connectrpc/connect';
import { common, scheduler } from '@d7y/api';
import { createGrpcConnection } from '@d7y/peer-protocol';
import { describe, expect, it } from '@jest/globals';
import { Download, eventually, SchedulerRig, startFakeSeed, TASK_ID } from './_rig.ts';

describe('AnnouncePeer', () => {
  it('sends the first peer to the origin and offers it to the second as soon as it is there', async () => {
    await using rig = await SchedulerRig.start();
    await rig.announce('first');
    await rig.announce('second');
    await using first = rig.register('first');
    expect((await first.answer())?.case).toBe('needBackToSourceResponse');
    await using second = rig.register('second');
    first.atOrigin();
    const [parent, ...others] = await second.parents();
    expect(others).toEqual([]);
    expect(parent).toMatchObject({ id: 'first-peer', state: 'BackToSource', concurrentPieceCount: 8 });
    expect(parent?.host).toMatchObject({ id: 'first', ip: '127.0.0.1', port: 4000, name: '', schedulerClusterId: 0n });
    expect(parent?.task).toMatchObject({ id: TASK_ID, contentLength: 41943040n, pieceCount: 10, pieces: [] });
    expect(parent?.cost).toBeDefined();
  });

  it('tells nobody of the headers and signatures of another', async () => {
    await using rig = await SchedulerRig.start();
    await rig.announce('first');
    await rig.announce('second');
    await using first = rig.register('first');
    await first.answer();
    first.atOrigin();
    await using second = rig.register('second');
    const [parent] = await second.parents();
    const told = [
      toJsonString(common.PeerSchema, parent ?? create(common.PeerSchema)),
      toJsonString(
        common.PeerSchema,
        await rig.client.statPeer({ hostId: 'first', taskId: TASK_ID, peerId: 'first-peer' }),
      ),
      toJsonString(common.TaskSchema, await rig.client.statTask({ hostId: 'first', taskId: TASK_ID })),
    ].join();
    expect(told).toContain('registry.example/v2/library/alpine');
    expect(told).not.toContain('planted');
  });

  it('ends the stream after the last word although the client has not', async () => {
    await using rig = await SchedulerRig.start();
    await rig.announce('first');
    await using first = rig.register('first');
    await first.answer();
    first.atOrigin();
    first.piece(0);
    first.finished(true);
    expect(await first.answer()).toBeUndefined();
    expect((await rig.client.statTask({ hostId: 'first', taskId: TASK_ID })).state).toBe('Succeeded');
    const peer = await rig.client.statPeer({ hostId: 'first', taskId: TASK_ID, peerId: 'first-peer' });
    expect(peer.state).toBe('Succeeded');
  });

  it('keeps the code of a registration that is turned down', async () => {
    await using rig = await SchedulerRig.start();
    await using unknown = rig.register('nobody');
    await expect(unknown.answer()).rejects.toMatchObject({
      code: Code.NotFound,
      rawMessage: 'host nobody has not announced itself',
    });
    await rig.announce('first');
    await using barred = rig.register('first', { priority: common.Priority.LEVEL1 });
    await expect(barred.answer()).rejects.toMatchObject({ code: Code.FailedPrecondition });
    await using origin = rig.register('first', { priority: common.Priority.LEVEL2 });
    await expect(origin.answer()).rejects.toMatchObject({ code: Code.NotFound });
  });

  it('answers an empty task, a complete copy, and a length that nobody knows', async () => {
    await using rig = await SchedulerRig.start();
    for (const id of ['first', 'second', 'third']) await rig.announce(id);
    await using empty = new Download(
      rig.client,
      { hostId: 'first', taskId: 'e'.repeat(64), peerId: 'empty' },
      { actualContentLength: 0n, actualPieceCount: 0n },
    );
    expect((await empty.answer())?.case).toBe('emptyTaskResponse');

    await using copy = rig.register('first', { metadataOnly: true });
    expect((await copy.answer())?.case).toBe('metadataOnlyResponse');
    copy.started();
    copy.finished();
    expect(await copy.answer()).toBeUndefined();

    const { ...unknownLength } = { url: 'https://registry.example/x' };
    await using curious = new Download(
      rig.client,
      { hostId: 'second', taskId: TASK_ID, peerId: 'curious' },
      unknownLength,
    );
    expect((await curious.parents())[0]).toMatchObject({ id: 'first-peer', task: { contentLength: 41943040n } });
  });

  it('does not offer blocked parents again and gives up waiting for the origin at the deadline', async () => {
    await using rig = await SchedulerRig.start({ swarm: { waitDeadlineMs: 50 } });
    await rig.announce('first');
    await rig.announce('second');
    await using first = rig.register('first');
    await first.answer();
    first.atOrigin();
    await using second = rig.register('second');
    const parents = await second.parents();
    second.started();
    second.say({ case: 'reschedulePeerRequest', value: { candidateParents: parents } });
    const answer = await second.answer();
    expect(answer).toMatchObject({
      case: 'needBackToSourceResponse',
      value: { description: 'no parent came in time' },
    });
  });

  it('hands the origin on when the one who fetched from it is cut off', async () => {
    await using rig = await SchedulerRig.start({ swarm: { leaseGraceMs: 30 } });
    await rig.announce('first', { port: 1024 });
    await rig.announce('second');
    await using first = rig.register('first');
    await first.answer();
    await using second = rig.register('second');
    first.cut();
    expect((await second.answer())?.case).toBe('needBackToSourceResponse');
  });

  it('lets a peer speak for itself only', async () => {
    await using rig = await SchedulerRig.start();
    await rig.announce('first');
    await using first = rig.register('first');
    await first.answer();
    first.say({ case: 'registerPeerRequest', value: { download: { url: 'https://registry.example/x' } } });
    await expect(first.answer()).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  it('turns down messages that break the published rules, by the name of the field', async () => {
    await using rig = await SchedulerRig.start();
    await rig.announce('first');
    await using first = rig.register('first', { url: 'no scheme' });
    await expect(first.answer()).rejects.toMatchObject({
      code: Code.InvalidArgument,
      rawMessage: expect.stringContaining('register_peer_request.download.url') as unknown,
    });
  });

  it('tells daemons of ours, and only them, of parents that come later', async () => {
    await using rig = await SchedulerRig.start({ swarm: { offerRefreshMs: 0 } });
    const greeting = await rig.swarm.hello({ instanceId: 'own', version: '1', features: [] });
    expect(greeting.instanceId).toMatch(/^127\.0\.0\.1:/);
    for (const id of ['late', 'latest']) await rig.swarm.hello({ instanceId: id, version: '1', features: [] });
    for (const id of ['first', 'own', 'stock', 'late', 'latest']) await rig.announce(id);
    await using first = rig.register('first');
    await first.answer();
    first.atOrigin();
    await using own = rig.register('own');
    expect((await own.parents()).map(({ id }) => id)).toContain('first-peer');
    own.started();
    await using late = rig.register('late');
    await late.parents();
    late.started();
    const seen = new Set<string>();
    while (!seen.has('late-peer')) for (const { id } of await own.parents()) seen.add(id);
    await using stock = rig.register('stock');
    await stock.parents();
    stock.started();
    await using latest = rig.register('latest');
    await latest.parents();
    latest.started();
    stock.finished();
    expect(await stock.answer()).toBeUndefined();
  });
});

describe('a seed', () => {
  const seedHost = (port: number) => ({ type: 1, port });

  it('is triggered at once after its announcement, without credentials, in the trace of the registration', async () => {
    const collector = createServer((_request, response) => response.end()).listen(0, '127.0.0.1');
    await once(collector, 'listening');
    const { port } = collector.address() as { port: number };
    {
      await using rig = await SchedulerRig.start({}, `tracing: { endpoint: 'http://127.0.0.1:${port}' }`);
      const released = Promise.withResolvers<void>();
      await using seed = await startFakeSeed(() => released.promise);
      await rig.announce('seed', seedHost(seed.port));
      await rig.announce('child');
      const traceId = '0af7651916cd43dd8448eb211c80319c';
      await using child = new Download(
        rig.client,
        { hostId: 'child', taskId: TASK_ID, peerId: 'child-peer' },
        {
          url: 'https://registry.example/x',
          outputPath: '/root/x',
          objectStorage: { accessKeySecret: 'planted' },
          requestHeader: { Cookie: 'planted', Accept: 'a' },
        },
        { traceparent: `00-${traceId}-b7ad6b7169203331-01` },
      );
      await eventually(() => seed.triggers.length === 1);
      const [trigger] = seed.triggers;
      expect(trigger?.download).toMatchObject({ needBackToSource: true, requestHeader: { Accept: 'a' } });
      expect(trigger?.download.outputPath).toBeUndefined();
      expect(toJsonString(common.DownloadSchema, trigger?.download ?? create(common.DownloadSchema))).not.toContain(
        'planted',
      );
      expect(trigger?.traceparent).toContain(traceId);

      await using seedPeer = rig.register('seed', { needBackToSource: true });
      expect((await seedPeer.answer())?.case).toBe('needBackToSourceResponse');
      seedPeer.atOrigin();
      expect((await child.parents()).map(({ id }) => id)).toEqual(['seed-peer']);
      released.resolve();
    }
    collector.close();
  });

  it('that fails is followed by the next, and that by the child itself', async () => {
    await using rig = await SchedulerRig.start();
    const refuse = () => Promise.reject(new Error('disk full'));
    await using one = await startFakeSeed(refuse);
    await using two = await startFakeSeed(refuse);
    await rig.announce('one', seedHost(one.port));
    await rig.announce('two', seedHost(two.port));
    await rig.announce('child');
    await using child = rig.register('child');
    expect((await child.answer())?.case).toBe('needBackToSourceResponse');
    expect([one.triggers.length, two.triggers.length].sort()).not.toEqual([0, 0]);
    expect(one.triggers.length).toBeLessThanOrEqual(1);
    expect(two.triggers.length).toBeLessThanOrEqual(1);
  });

  it('is triggered soon after it begins to answer, when it announced itself too early', async () => {
    await using rig = await SchedulerRig.start({ newSeedProbeIntervalMs: 10 });
    await using seed = await startFakeSeed();
    seed.health.set('', 'NOT_SERVING');
    await rig.announce('seed', seedHost(seed.port));
    await rig.announce('child');
    await using first = rig.register('child');
    // Without a seed that answers, the child is the one to fetch.
    expect((await first.answer())?.case).toBe('needBackToSourceResponse');
    first.cut();
    seed.health.set('', 'SERVING');
    let attempt = 0;
    await eventually(async () => {
      await using next = rig.register('child', {}, `child-${attempt++}`);
      await next.answer();
      return seed.triggers.length > 0;
    });
    expect(seed.triggers).toHaveLength(1);
  });

  it('that is not healthy is not triggered', async () => {
    await using rig = await SchedulerRig.start();
    await using seed = await startFakeSeed();
    seed.health.set('', 'NOT_SERVING');
    await rig.announce('seed', seedHost(seed.port));
    await rig.announce('child');
    await using child = rig.register('child');
    expect((await child.answer())?.case).toBe('needBackToSourceResponse');
    expect(seed.triggers).toEqual([]);
  });

  it('hears nothing of a private task', async () => {
    await using rig = await SchedulerRig.start();
    await using seed = await startFakeSeed();
    await rig.announce('seed', seedHost(seed.port));
    await rig.announce('first');
    await rig.announce('second');
    await using first = rig.register('first', { priority: common.Priority.LEVEL3 });
    expect((await first.answer())?.case).toBe('needBackToSourceResponse');
    first.atOrigin();
    await using second = rig.register('second', { priority: common.Priority.LEVEL3 });
    expect((await second.parents())[0]).toMatchObject({ id: 'first-peer', priority: common.Priority.LEVEL3 });
    expect(seed.triggers).toEqual([]);
  });

  it('that says nothing for too long is given up', async () => {
    await using rig = await SchedulerRig.start({ seedSilenceMs: 50 });
    const never = Promise.withResolvers<void>();
    await using seed = await startFakeSeed(() => never.promise);
    await rig.announce('seed', seedHost(seed.port));
    await rig.announce('child');
    await using child = rig.register('child');
    expect((await child.answer())?.case).toBe('needBackToSourceResponse');
    never.resolve();
  });
});

describe('a client that waits for the reset of its stream', () => {
  it('gets headers before any answer, its answers, trailers, and the reset, without ever ending its request', async () => {
    await using rig = await SchedulerRig.start();
    await rig.announce('first');
    const session = connect(`http://127.0.0.1:${rig.running.port}`);
    try {
      const stream = session.request({
        ':method': 'POST',
        ':path': '/scheduler.v2.Scheduler/AnnouncePeer',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      const answers: scheduler.AnnouncePeerResponse[] = [];
      let pending = Buffer.alloc(0);
      const answered = Promise.withResolvers<void>();
      stream.on('data', (chunk: Buffer) => {
        pending = Buffer.concat([pending, chunk]);
        while (pending.length >= 5 && pending.length >= 5 + pending.readUInt32BE(1)) {
          const length = pending.readUInt32BE(1);
          answers.push(fromBinary(scheduler.AnnouncePeerResponseSchema, pending.subarray(5, 5 + length)));
          pending = pending.subarray(5 + length);
          answered.resolve();
        }
      });
      const trailers = once(stream, 'trailers') as Promise<[Record<string, string>]>;
      const closed = once(stream, 'close');
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
      expect(headers[':status']).toBe(200);

      const say = (request: scheduler.AnnouncePeerRequest['request']): void => {
        const ids = { hostId: 'first', taskId: TASK_ID, peerId: 'tonic' };
        const message = toBinary(
          scheduler.AnnouncePeerRequestSchema,
          create(scheduler.AnnouncePeerRequestSchema, { ...ids, request }),
        );
        const prefix = Buffer.alloc(5);
        prefix.writeUInt32BE(message.length, 1);
        stream.write(Buffer.concat([prefix, message]));
      };
      const download = create(common.DownloadSchema, { url: 'https://a.example/b', actualContentLength: 9n });
      say({ case: 'registerPeerRequest', value: create(scheduler.RegisterPeerRequestSchema, { download }) });
      await answered.promise;
      expect(answers[0]?.response.case).toBe('needBackToSourceResponse');
      say({
        case: 'downloadPeerBackToSourceStartedRequest',
        value: create(scheduler.DownloadPeerBackToSourceStartedRequestSchema),
      });
      say({
        case: 'downloadPeerBackToSourceFinishedRequest',
        value: create(scheduler.DownloadPeerBackToSourceFinishedRequestSchema),
      });
      expect((await trailers)[0]['grpc-status']).toBe('0');
      await closed;
      expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
    } finally {
      session.destroy();
    }
  });
});

describe('createGrpcConnection against a scheduler', () => {
  it('survives many conversations on one connection', async () => {
    await using rig = await SchedulerRig.start();
    await rig.announce('first');
    for (let number = 0; number < 20; number++) await rig.announce(`host-${number}`);
    await using first = rig.register('first');
    await first.answer();
    first.atOrigin();
    using connection = createGrpcConnection({ host: '127.0.0.1', port: rig.running.port });
    const client = createClient(scheduler.Scheduler, connection.transport);
    const downloads = Array.from({ length: 20 }, (_, number) => {
      const ids = { hostId: `host-${number}`, taskId: TASK_ID, peerId: `peer-${number}` };
      return new Download(client, ids, {});
    });
    for (const download of downloads) download.started();
    const offers = await Promise.all(downloads.map((download) => download.parents()));
    for (const offer of offers) expect(offer.length).toBeGreaterThan(0);
    for (const download of downloads) download.finished();
    for (const download of downloads) expect(await download.answer()).toBeUndefined();
  });
});

import { Code, ConnectError } from '@connectrpc/connect';
import { common, health, scheduler } from '@d7y/api';
import { createGrpcConnection } from '@d7y/peer-protocol';
import { createClient } from '@connectrpc/connect';
import { describe, expect, it } from '@jest/globals';
import { startScheduler } from './compose.ts';
import { readSchedulerConfig } from './config/read-scheduler-config.ts';
import { eventually, SchedulerRig, silent, startFakeSeed, TASK_ID } from './_rig.ts';

const scrape = async (port: number | undefined): Promise<string> =>
  (await fetch(`http://127.0.0.1:${port ?? 0}/metrics`)).text();

describe('hosts', () => {
  it('are listed by type until they leave', async () => {
    await using rig = await SchedulerRig.start();
    await rig.announce('normal');
    await rig.announce('seed', { type: 1 });
    const idsOf = async (request: { type?: number }) => (await rig.client.listHosts(request)).hosts.map(({ id }) => id);
    expect(await idsOf({})).toEqual(['normal', 'seed']);
    expect(await idsOf({ type: 1 })).toEqual(['seed']);
    await rig.client.deleteHost({ hostId: 'seed' });
    expect(await idsOf({})).toEqual(['normal']);
    await expect(rig.client.deleteHost({ hostId: 'seed' })).rejects.toMatchObject({ code: Code.NotFound });
  });

  it('take their peers with them', async () => {
    await using rig = await SchedulerRig.start();
    await rig.announce('first');
    await using first = rig.register('first');
    await first.answer();
    await rig.client.deleteHost({ hostId: 'first' });
    const question = { hostId: 'first', taskId: TASK_ID, peerId: first.peerId };
    await expect(rig.client.statPeer(question)).rejects.toMatchObject({ code: Code.NotFound });
  });
});

describe('peers and tasks', () => {
  it('are told of, and forgotten when a host says that it has them no more', async () => {
    await using rig = await SchedulerRig.start();
    await expect(rig.client.statTask({ taskId: TASK_ID, hostId: 'x' })).rejects.toMatchObject({ code: Code.NotFound });
    await rig.announce('first');
    await using first = rig.register('first');
    await first.answer();
    expect(await rig.client.statTask({ taskId: TASK_ID, hostId: 'x' })).toMatchObject({
      state: 'Running',
      peerCount: 1,
    });
    await rig.client.deleteTask({ hostId: 'first', taskId: TASK_ID });
    expect((await rig.client.statTask({ taskId: TASK_ID, hostId: 'x' })).peerCount).toBe(0);
    await rig.client.deletePeer({ hostId: 'first', taskId: TASK_ID, peerId: 'unknown' });
    const unknownHost = rig.client.deleteTask({ hostId: 'nobody', taskId: TASK_ID });
    await expect(unknownHost).rejects.toMatchObject({ code: Code.NotFound });
  });
});

describe('what is not offered', () => {
  it('is answered so, single calls and streams alike', async () => {
    await using rig = await SchedulerRig.start();
    const unimplemented = {
      code: Code.Unimplemented,
      rawMessage: expect.stringContaining('is not offered') as unknown,
    };
    const stat = rig.client.statPersistentTask({ hostId: 'a', taskId: TASK_ID });
    await expect(stat).rejects.toMatchObject(unimplemented);
    const stream = rig.client.announcePersistentPeer((async function* () {})());
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toMatchObject(unimplemented);
  });

  it('covers every method of the published service that has no handler', async () => {
    await using rig = await SchedulerRig.start();
    const offered = [
      ...'AnnouncePeer AnnounceHost ListHosts DeleteHost StatPeer DeletePeer StatTask DeleteTask'.split(' '),
      ...'PreheatImage PreheatFile StatImage StatFile'.split(' '),
    ];
    for (const method of scheduler.Scheduler.methods) {
      if (offered.includes(method.name) || method.methodKind !== 'unary') continue;
      const call = (rig.client as unknown as Record<string, (request: object) => Promise<unknown>>)[method.localName];
      const code: unknown = await call?.({}).then(
        () => 'answered',
        (error: unknown) => ConnectError.from(error).code,
      );
      // Messages that break a rule are turned down before it matters what is offered.
      expect([Code.Unimplemented, Code.InvalidArgument]).toContain(code);
    }
  });
});

describe('limits', () => {
  it('turn down calls that come too fast', async () => {
    await using rig = await SchedulerRig.start({ clock: () => 1000 }, 'metrics: { enable: false }');
    const { requestRateLimit } = readSchedulerConfig({ text: '', env: {} }).server;
    expect(requestRateLimit).toBe(4000);
    const config = readSchedulerConfig({
      text: 'server: { port: 0, listenIP: 127.0.0.1, requestRateLimit: 2 }\nscheduler: { state: { enable: false } }',
      env: {},
    });
    await using slow = await startScheduler(config, {
      signal: new AbortController().signal,
      overrides: { logger: silent, processMetrics: false, clock: () => 1000 },
    });
    using connection = createGrpcConnection({ host: '127.0.0.1', port: slow.port });
    const client = createClient(scheduler.Scheduler, connection.transport);
    await client.listHosts({});
    await client.listHosts({});
    await expect(client.listHosts({})).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect((await rig.client.listHosts({})).hosts).toEqual([]);
  });

  it('turn down hosts beyond the number that a scheduler can hold', async () => {
    await using rig = await SchedulerRig.start({ swarm: { maxHosts: 1 } });
    await rig.announce('first');
    await rig.announce('first');
    await expect(rig.announce('second')).rejects.toMatchObject({ code: Code.ResourceExhausted });
  });
});

describe('operation', () => {
  it('counts what happens, on the gRPC port and on that of the metrics', async () => {
    await using rig = await SchedulerRig.start({}, "metrics: { enable: true, addr: '127.0.0.1:0', enableHost: true }");
    await rig.announce('first', { os: 'linux' });
    await rig.announce('second');
    await using first = rig.register('first');
    await first.answer();
    first.atOrigin();
    first.piece(0);
    await using second = rig.register('second');
    await second.parents();
    second.started();
    second.piece(0, 'first-peer');
    second.finished();
    await second.answer();
    for (const port of [rig.running.port, rig.running.metricsPort]) {
      const text = await scrape(port);
      for (const line of [
        'dragonfly_scheduler_announce_peer_total 2',
        'dragonfly_scheduler_register_peer_total{priority="LEVEL0",task_type="STANDARD",host_type="normal"} 2',
        'dragonfly_scheduler_download_peer_finished_total{priority="LEVEL0",task_type="STANDARD",host_type="normal"} 1',
        'dragonfly_scheduler_traffic{type="BACK_TO_SOURCE",task_type="STANDARD",host_type="normal"} 4194304',
        'dragonfly_scheduler_traffic{type="REMOTE_PEER",task_type="STANDARD",host_type="normal"} 4194304',
        'dragonfly_scheduler_download_piece_cost_seconds_count 2',
        'dragonfly_scheduler_download_peer_total{state="Succeeded"} 1',
        'dragonfly_scheduler_concurrent_schedule_total 1',
        'dragonfly_peer_count 2',
        'grpc_server_started_total{grpc_type="bidi_stream",grpc_service="scheduler.v2.Scheduler",grpc_method="AnnouncePeer"} 2',
      ])
        expect(text).toContain(line);
      expect(text).toMatch(/dragonfly_scheduler_announce_host_total\{os="linux"/);
      expect(text).toMatch(/dragonfly_scheduler_version\{.*\} 1/);
      expect(text).toMatch(/host_traffic\{type="upload",.*host_id="first".*\} 4194304/);
    }
  });

  it('is healthy as long as it serves', async () => {
    await using rig = await SchedulerRig.start();
    using connection = createGrpcConnection({ host: '127.0.0.1', port: rig.running.port });
    const { status } = await createClient(health.Health, connection.transport).check({ service: '' });
    expect(status).toBe(health.HealthCheckResponse_ServingStatus.SERVING);
  });

  it('ends with open streams and seeds at work, and lets the streams know', async () => {
    const never = Promise.withResolvers<void>();
    await using seed = await startFakeSeed(() => never.promise);
    const rig = await SchedulerRig.start();
    await rig.announce('seed', { type: 1, port: seed.port });
    await rig.announce('child');
    await using child = rig.register('child', { priority: common.Priority.LEVEL0 });
    const ended = expect(child.answer()).rejects.toMatchObject({ code: Code.Unavailable });
    await eventually(() => seed.triggers.length === 1);
    const startedMs = performance.now();
    await rig.running[Symbol.asyncDispose]();
    // Neither the stream nor the seed would ever end by itself.
    expect(performance.now() - startedMs).toBeLessThan(15_000);
    await ended;
    never.resolve();
    await rig[Symbol.asyncDispose]();
  });

  it('says in one line that its port is taken', async () => {
    await using rig = await SchedulerRig.start();
    const config = readSchedulerConfig({
      text: `server: { port: ${rig.running.port}, listenIP: 127.0.0.1 }`,
      env: {},
    });
    const start = startScheduler(config, {
      signal: new AbortController().signal,
      overrides: { logger: silent, processMetrics: false },
    });
    await expect(start).rejects.toThrow(`port ${rig.running.port} (127.0.0.1) is in use`);
  });
});

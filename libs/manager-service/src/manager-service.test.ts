import { createClient } from '@connectrpc/connect';
import { health, manager as managerApi } from '@d7y/api';
import { createGrpcConnection, type SchedulerSearch } from '@d7y/peer-protocol';
import { describe, expect, it } from '@jest/globals';
import {
  asDaemon,
  asScheduler,
  databasesOfTests,
  eventually,
  schedulerNamed,
  startTestManager,
  targetOf,
} from './_rig.ts';

/** What dashboards and alerts are made of: none may go, and a new one belongs here and in the README. */
const METRICS = [
  ...['search_scheduler_cluster_total', 'search_scheduler_cluster_failure_total', 'version'],
  ...['requests_total', 'request_duration_seconds', 'create_job_total', 'create_job_success_total'],
  ...['job_total', 'job_duration_seconds', 'preheat_targets_total', 'peer_total', 'scheduler_total', 'seed_peer_total'],
  ...[
    'cache_hits_total',
    'cache_misses_total',
    'keepalive_streams',
    'event_streams',
    'event_streams_ended_total',
    'cluster_view_age_seconds',
    'cluster_view_failing',
  ],
  ...['leader', 'background_runs_total', 'audit_dropped_total'],
  ...['db_pool_connections', 'db_pool_idle', 'db_pool_waiting'],
]
  .map((name) => `dragonfly_manager_${name}`)
  .concat(
    ['requests_total', 'request_duration_seconds', 'request_size_bytes', 'response_size_bytes'].map(
      (name) => `manager_${name}`,
    ),
  )
  .concat(['bullmq_job_count', 'dragonfly_queue_oldest_wait_seconds'])
  .concat(['started', 'handled', 'msg_received', 'msg_sent'].map((name) => `grpc_server_${name}_total`))
  .concat(['process_cpu_seconds_total', 'process_resident_memory_bytes', 'nodejs_eventloop_lag_seconds']);

const newDatabase = databasesOfTests();
const { signal } = new AbortController();
const search = (more: Partial<SchedulerSearch> = {}): SchedulerSearch => ({
  ...{ isSeed: false, hostname: 'node-1', ip: '10.9.0.1', idc: undefined, location: undefined },
  ...{ version: '1', commit: 'c', schedulerClusterId: undefined, ...more },
});

describe('a manager', () => {
  it('makes what it needs in an empty database, and serves', async () => {
    const passwords: string[] = [];
    const address = await newDatabase();
    const tellRootPassword = (password: { reveal(): string }) => void passwords.push(password.reveal());
    await using running = await startTestManager(address, { overrides: { tellRootPassword } });
    expect(running.isReady).toBe(true);
    expect(passwords).toEqual([expect.stringMatching(/^.{12,}$/)]);
    await using _again = await startTestManager(address, { overrides: { tellRootPassword } });
    expect(passwords).toHaveLength(1);
    using daemon = asDaemon(running);
    expect(await daemon.listSchedulers(search(), { signal })).toEqual([]);
    expect(await daemon.listSchedulers(search({ schedulerClusterId: 1 }), { signal })).toEqual([]);
    await expect(daemon.listSchedulers(search({ schedulerClusterId: 77 }), { signal })).rejects.toThrow('77');
  });

  it('hands out a scheduler that has registered, and tells it what its cluster wants', async () => {
    await using running = await startTestManager(await newDatabase());
    using scheduler = asScheduler(running);
    using daemon = asDaemon(running);
    const registration = schedulerNamed('scheduler-1');
    await expect(scheduler.getScheduler(registration, { signal })).rejects.toThrow('has not registered');
    await scheduler.register(registration, { signal });
    const told = await scheduler.getScheduler(registration, { signal });
    expect(JSON.parse(told.clusterConfig)).toMatchObject({ candidate_parent_limit: 3, filter_parent_limit: 15 });
    expect(JSON.parse(told.clientConfig)).toMatchObject({ load_limit: 200 });
    for (const schedulerClusterId of [undefined, 1])
      expect(await daemon.listSchedulers(search({ schedulerClusterId }), { signal })).toMatchObject([
        { ip: '10.0.0.1', port: 8002, clusterId: 1n },
      ]);
    expect(await scheduler.listApplications(registration, { signal })).toEqual([]);
    await expect(scheduler.register(schedulerNamed('x', { clusterId: 9 }), { signal })).rejects.toThrow(
      'no scheduler cluster 9',
    );
  });

  it('sends daemons to the cluster that suits them', async () => {
    await using running = await startTestManager(await newDatabase(), {
      yaml: `bootstrap: { clusters: [
        { id: 1, name: plain, isDefault: true },
        { id: 7, name: edge, scopes: { hostnames: ['^edge-'] } }, { id: 9, name: lab, scopes: { cidrs: [10.9.0.0/16] } }] }`,
    });
    using scheduler = asScheduler(running);
    using daemon = asDaemon(running);
    for (const clusterId of [1, 7, 9])
      await scheduler.register(schedulerNamed(`s-${clusterId}`, { clusterId, ip: `10.0.0.${clusterId}` }), { signal });
    const order = async (more: Partial<SchedulerSearch>) =>
      (await daemon.listSchedulers(search(more), { signal })).map(({ clusterId }) => Number(clusterId));
    expect(await order({})).toEqual([9, 1, 7]);
    expect(await order({ ip: '10.8.0.1' })).toEqual([1, 7, 9]);
    expect(await order({ ip: '10.8.0.1', hostname: 'edge-5' })).toEqual([7, 1, 9]);
    expect(await order({ ip: '::ffff:10.9.0.1' })).toEqual([9, 1, 7]);
  });

  it('takes for gone who does not keep himself alive, and for there who does', async () => {
    await using running = await startTestManager(await newDatabase());
    using scheduler = asScheduler(running);
    using daemon = asDaemon(running);
    const ips = async () => (await daemon.listSchedulers(search(), { signal })).map(({ ip }) => ip);
    const alive = schedulerNamed('alive', { keepAliveIntervalMs: 200, ip: '10.0.0.1' });
    const silent = schedulerNamed('silent', { keepAliveIntervalMs: 200, ip: '10.0.0.2' });
    for (const registration of [alive, silent]) await scheduler.register(registration, { signal });
    expect(await ips()).toEqual(['10.0.0.1', '10.0.0.2']);
    const over = new AbortController();
    const stream = scheduler.keepAlive(alive, 50, { signal: over.signal }).catch(() => undefined);
    await eventually(async () => (await ips()).length === 1);
    expect(await ips()).toEqual(['10.0.0.1']);
    over.abort();
    await stream;
    await expect(
      scheduler.keepAlive(schedulerNamed('nobody'), 50, { signal: AbortSignal.timeout(20_000) }),
    ).rejects.toThrow('has not registered');
  });

  it('believes the newer of two streams, whose end then counts', async () => {
    await using running = await startTestManager(await newDatabase());
    using scheduler = asScheduler(running);
    const registration = schedulerNamed('twice');
    await scheduler.register(registration, { signal });
    const first = scheduler.keepAlive(registration, 20, { signal });
    const failed = expect(first).rejects.toThrow('newer stream');
    using other = asScheduler(running);
    const over = new AbortController();
    const second = other.keepAlive(registration, 20, { signal: over.signal }).catch(() => undefined);
    await failed;
    over.abort();
    await second;
  });

  it('knows seed peers, and tells schedulers of those of their cluster', async () => {
    await using running = await startTestManager(await newDatabase());
    using connection = createGrpcConnection(targetOf(running));
    const client = createClient(managerApi.Manager, connection.transport);
    const seed = {
      sourceType: managerApi.SourceType.SEED_PEER_SOURCE,
      hostname: 'seed-1',
      ip: '10.0.1.1',
      seedPeerClusterId: 1n,
    };
    await expect(client.getSeedPeer(seed)).rejects.toThrow('has not registered');
    const asked = { hostname: 'node-1', ip: '10.9.0.1' };
    await expect(client.listSeedPeers(asked)).rejects.toThrow('no seed peers');
    const made = await client.updateSeedPeer({ ...seed, type: 'super', port: 4000, downloadPort: 4001 });
    expect(made).toMatchObject({ hostname: 'seed-1', state: 'active', type: 'super' });
    using scheduler = asScheduler(running);
    await scheduler.register(schedulerNamed('scheduler-1'), { signal });
    const told = await scheduler.getScheduler(schedulerNamed('scheduler-1'), { signal });
    expect(JSON.parse(told.seedPeerClusterConfig)).toMatchObject({ load_limit: 2000 });
    expect(await client.getSeedPeer(seed)).toMatchObject({ schedulers: [{ hostname: 'scheduler-1' }] });
    expect((await client.listSeedPeers(asked)).seedPeers).toMatchObject([{ hostname: 'seed-1' }]);
    await client.deleteSeedPeer(seed);
    await expect(client.deleteSeedPeer(seed)).rejects.toThrow('has not registered');
  });

  it('refuses what breaks the rules, and more than it may be asked', async () => {
    await using running = await startTestManager(await newDatabase(), { grpc: 'requestRateLimit: 20' });
    using connection = createGrpcConnection(targetOf(running));
    const client = createClient(managerApi.Manager, connection.transport);
    await expect(client.listSchedulers({ hostname: 'no_name', ip: '10.0.0.1' })).rejects.toThrow('hostname');
    await expect(client.getScheduler({ hostname: 'a', ip: '10.0.0.1' })).rejects.toThrow('scheduler_cluster_id');
    const asked = { hostname: 'node', ip: '10.0.0.1' };
    const outcomes = await Promise.allSettled(Array.from({ length: 60 }, () => client.listSchedulers(asked)));
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(String(refused[0]?.reason)).toContain('20 calls a second');
    expect(outcomes.length - refused.length).toBeGreaterThan(0);
    const probe = createClient(health.Health, connection.transport);
    for (let times = 0; times < 30; times++) expect(await probe.check({})).toMatchObject({ status: 1 });
  });

  it('shows what it knows, under the published names', async () => {
    await using running = await startTestManager(await newDatabase(), {
      yaml: "metrics: { enable: true, addr: '127.0.0.1:0' }",
    });
    using scheduler = asScheduler(running);
    using daemon = asDaemon(running);
    await scheduler.register(schedulerNamed('scheduler-1'), { signal });
    await daemon.listSchedulers(search(), { signal });
    await eventually(() => running.isLeader);
    const get = async (path: string) => await fetch(`http://127.0.0.1:${running.metricsPort}${path}`);
    const text = await (await get('/metrics')).text();
    for (const line of [
      'dragonfly_manager_search_scheduler_cluster_total{version="1",commit="c"} 1',
      'dragonfly_manager_scheduler_total{cluster="cluster-1",state="active"} 1',
      'dragonfly_manager_leader 1',
    ])
      expect(text).toContain(line);
    expect(text).toMatch(/grpc_server_handled_total\{[^}]*grpc_service="manager.v2.Manager"[^}]*\}/);
    expect((await get('/readyz')).status).toBe(200);
    expect((await get('/healthy')).status).toBe(200);
  });

  it('has every metric that is published, and those beside them', async () => {
    await using running = await startTestManager(await newDatabase(), {
      yaml: "metrics: { enable: true, addr: '127.0.0.1:0' }",
      overrides: { processMetrics: true },
    });
    const text = await (await fetch(`http://127.0.0.1:${running.metricsPort}/metrics`)).text();
    const names = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name);
    expect(names).toEqual(expect.arrayContaining(METRICS));
    expect(names.filter((name) => name?.startsWith('dragonfly_') === true && !METRICS.includes(name))).toEqual([]);
  });

  it('says where the database should be that does not answer', async () => {
    const address = { ...(await newDatabase()), host: '127.0.0.1', port: 1 };
    await expect(startTestManager(address, { postgres: 'connectTimeout: 300ms' })).rejects.toThrow(
      'PostgreSQL at 127.0.0.1:1 refuses connections: start it, or correct its host and port',
    );
  });
});

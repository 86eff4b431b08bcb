import { connect } from 'node:http2';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { swarmListing } from '@d7y/api';
import type { WatchEvent } from '@d7y/manager-api';
import { JobWork, PersonalAccessTokenRepository, SchedulerRepository } from '@d7y/manager-db';
import type { Listener } from '@d7y/service-kit';
import { createLogger, createMetrics, listen } from '@d7y/service-kit';
import type { TestDatabases } from '@d7y/testkit';
import { eventually } from '@d7y/testkit';
import type { RestRig, RigOptions } from '../_rig.ts';
import { makeRole, startDatabases, startRest } from '../_rig.ts';
import type { EventSettings } from '../create-rest.ts';
import { listenTo, type TestListener } from './_listener.ts';

const FAST = { jobsIntervalMs: 20, swarmIntervalMs: 20 };
const CLUSTER = {
  name: 'a',
  ...{ scheduler_cluster_config: {}, seed_peer_cluster_config: {}, peer_cluster_config: {} },
};

let databases: TestDatabases;
let rig: RestRig;
let stopping: AbortController;
/** Of the first manager. */
let metrics: ReturnType<typeof createMetrics> | undefined;
const listeners = new DisposableStack();
beforeAll(async () => {
  databases = await startDatabases();
}, 60_000);
afterAll(async () => {
  listeners.dispose();
  await databases[Symbol.asyncDispose]();
});
afterEach(async () => {
  stopping.abort();
  await rig[Symbol.asyncDispose]();
});

const start = async (events: Partial<EventSettings> = {}, options: RigOptions = {}) => {
  stopping = new AbortController();
  metrics = undefined;
  const rest = {
    ...{ events: { ...FAST, ...events }, stopping: stopping.signal, ...options.rest },
    get metrics() {
      const made = createMetrics({ processMetrics: false });
      metrics ??= made;
      return made;
    },
  };
  rig = await startRest(databases, { ...options, rest });
};
const hear = async (
  query = '',
  token = rig.root.token,
  { url, path = '/api/v1' } = { url: rig.url, path: '/api/v1' },
) => listeners.use(await listenTo(`${url}${path}/events${query}`, { authorization: `Bearer ${token}` }));
const createJob = async () => {
  const { json } = await rig.call('POST', '/api/v1/jobs', {
    token: rig.root.token,
    body: { type: 'gc', args: { type: 'job', ttl: 3_600_000_000_000 } },
  });
  return json.id;
};
const changesJob = (id: number, field: string, value: unknown) => (event: WatchEvent) =>
  event.event === 'jobs.changed' &&
  event.data.changed.some(
    (job) => job.id === id && JSON.stringify((job as Record<string, unknown>)[field]) === JSON.stringify(value),
  );
const metric = async (name: string) => await metrics?.registry.getSingleMetricAsString(`dragonfly_manager_${name}`);

/** A scheduler that tells what the test wants it to, of cluster 1. */
async function startScheduler(tell: {
  tasks: () => readonly Partial<swarmListing.ListedTask>[];
  peers?: () => readonly Partial<swarmListing.ListedPeer>[];
}): Promise<Listener & { readonly asked: { tasks: number; peers: number } }> {
  const asked = { tasks: 0, peers: 0 };
  const { method } = swarmListing.SwarmListingService;
  const page = <T>(all: readonly T[], token: string) => {
    const from = Number(token || '0');
    return { items: all.slice(from, from + 500), nextPageToken: from + 500 < all.length ? String(from + 500) : '' };
  };
  const listening = await listen({
    ...{ host: '127.0.0.1', port: 0, logger: createLogger({ name: 'scheduler', level: 'silent' }) },
    grpc: ({ rpc }) => {
      rpc(method.listTasks, ({ pageToken }) => {
        asked.tasks += pageToken === '' ? 1 : 0;
        const { items, nextPageToken } = page(tell.tasks(), pageToken);
        return { tasks: [...items] as never, nextPageToken };
      });
      rpc(method.listPeers, ({ pageToken }) => {
        asked.peers += pageToken === '' ? 1 : 0;
        const { items, nextPageToken } = page(tell.peers?.() ?? [], pageToken);
        return { peers: [...items] as never, nextPageToken };
      });
    },
  });
  listenersOfSchedulers.use(listening);
  await rig.call('POST', '/api/v1/clusters', { token: rig.root.token, body: CLUSTER });
  await new SchedulerRepository(rig.database.db).register(
    {
      ...{ hostName: 's', ip: '127.0.0.1', port: listening.port, idc: '', location: '', features: ['schedule'] },
      ...{ schedulerClusterId: 1, keepAliveIntervalMs: 600_000, config: {} },
    },
    new Date(),
  );
  return { ...listening, asked };
}
const listenersOfSchedulers = new AsyncDisposableStack();
afterAll(async () => await listenersOfSchedulers.disposeAsync());

describe('events of jobs', () => {
  it('are a snapshot, then every change, on whichever manager it is listened', async () => {
    await start();
    await rig.call('POST', '/api/v1/clusters', { token: rig.root.token, body: CLUSTER });
    const first = await createJob();
    await using other = await rig.another();
    const heard = [
      await hear('?topics=jobs'),
      await hear('?topics=jobs', rig.root.token, { url: other.url, path: '/api/v1' }),
    ];
    for (const one of heard) {
      expect(one.status).toBe(200);
      expect(await one.next()).toEqual({ event: 'begin', data: { topics: ['jobs'] } });
      expect(await one.next()).toMatchObject({
        event: 'jobs.snapshot',
        data: {
          items: [{ id: first, type: 'gc', state: 'PENDING', phase: 'PENDING', progress: null, error: null }],
          total: 1,
        },
      });
    }
    await new JobWork(rig.database).note(first, 1, { phase: 'STARTED', progress: { layers_total: 2 } }, new Date());
    for (const one of heard) await one.nextThat(changesJob(first, 'progress', { layers_total: 2 }));
    await rig.jobs.end(first, { state: 'FAILURE', error: 'no worker' });
    for (const one of heard) await one.nextThat(changesJob(first, 'error', 'no worker'));
    await rig.call('POST', `/api/v1/jobs/${first}/retry`, { token: rig.root.token });
    for (const one of heard) await one.nextThat(changesJob(first, 'phase', 'RETRY'));
    await rig.call('DELETE', `/api/v1/jobs/${first}`, { token: rig.root.token });
    for (const one of heard)
      await one.nextThat(({ event, data }) => event === 'jobs.changed' && data.removed.some(({ id }) => id === first));
    const { ids } = heard[0] as TestListener;
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('carry neither arguments nor results', async () => {
    await start();
    await rig.call('POST', '/api/v1/clusters', { token: rig.root.token, body: CLUSTER });
    const body = { type: 'preheat', args: { type: 'image', url: 'https://registry.example/v2/a/manifests/planted' } };
    await rig.call('POST', '/api/v1/jobs', { token: rig.root.token, body });
    const heard = await hear();
    await heard.nextThat(({ event }) => event === 'jobs.snapshot');
    expect(heard.text).toContain('"type":"preheat"');
    expect(heard.text).not.toContain('planted');
  });
});

describe('events of tasks and peers', () => {
  it('come from the schedulers, which are asked once for all who listen, and only while somebody does', async () => {
    await start();
    let pieces = 1n;
    const task = { id: 't', url: 'https://origin/a', state: 'Running', peers: 1n, createdAtMs: 1n, updatedAtMs: 2n };
    const peer = { id: 'p', taskId: 't', hostId: 'h', state: 'Running', createdAtMs: 1n, updatedAtMs: 2n };
    let tasks = [task];
    const { asked } = await startScheduler({ tasks: () => tasks, peers: () => [{ ...peer, finishedPieces: pieces }] });
    const heard = await Promise.all(Array.from({ length: 10 }, () => hear('?topics=peers,tasks')));
    for (const one of heard) {
      expect(await one.next()).toEqual({ event: 'begin', data: { topics: ['tasks', 'peers'] } });
      const two = [await one.next(), await one.next()].toSorted((a, b) => b.event.localeCompare(a.event));
      expect(two).toMatchObject([
        {
          event: 'tasks.snapshot',
          data: { items: [{ id: 't', schedulerClusterId: 1, peerCount: 1 }], incomplete: [] },
        },
        { event: 'peers.snapshot', data: { items: [{ id: 'p', taskId: 't', finishedPieces: 1 }], total: 1 } },
      ]);
    }
    pieces = 2n;
    tasks = [];
    for (const one of heard) {
      const two = [await one.next(), await one.next()].toSorted((a, b) => b.event.localeCompare(a.event));
      expect(two).toMatchObject([
        { event: 'tasks.changed', data: { changed: [], removed: [{ schedulerClusterId: 1, id: 't' }], total: 0 } },
        { event: 'peers.changed', data: { changed: [{ id: 'p', finishedPieces: 2 }], removed: [] } },
      ]);
    }
    // What each has heard is one event for all of them.
    for (const { ids } of heard) expect(ids.slice(-2).sort()).toEqual(heard[0]?.ids.slice(-2).sort());
    for (const one of heard) one[Symbol.dispose]();
    await eventually(async () => expect(await metric('event_streams')).toMatch(/event_streams 0$/m));
    const after = asked.tasks;
    const again = await hear('?topics=peers');
    await again.nextThat(({ event }) => event === 'peers.snapshot');
    pieces = 3n;
    await again.nextThat(({ event }) => event === 'peers.changed');
    expect(asked.tasks).toBeLessThanOrEqual(after + 1);
  });

  it('keep what a scheduler that does not answer had told, and name it', async () => {
    await start();
    const task = { id: 't', url: 'https://origin/a', state: 'Running', peers: 1n, createdAtMs: 1n, updatedAtMs: 2n };
    let isSilent = false;
    const { port } = await startScheduler({
      tasks: () => {
        if (isSilent) throw new Error('silent');
        return [task];
      },
    });
    const heard = await hear('?topics=tasks');
    await heard.nextThat(({ event }) => event === 'tasks.snapshot');
    isSilent = true;
    expect(await heard.next()).toEqual({
      event: 'tasks.changed',
      data: { changed: [], removed: [], total: 1, incomplete: [`127.0.0.1:${port}`] },
    });
  });
});

describe('a stream of events', () => {
  it('is kept by nobody in between, tells browsers when to come back, and shows that it lives', async () => {
    await start({ heartbeatMs: 10, retryMs: 1_234 });
    const heard = await hear();
    expect(heard.headers).toMatchObject({
      ...{ 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
      ...{ 'x-request-id': expect.any(String), 'content-security-policy': expect.any(String) },
    });
    expect(heard.headers['content-length']).toBeUndefined();
    void heard.rest().catch(() => undefined);
    await eventually(() => expect(heard.text.split('\n:\n\n').length).toBeGreaterThan(3));
    expect(heard.text).toMatch(/^retry: 1234\n\nid: \S+\nevent: begin\ndata: \{.*\}\n\n/);
  });

  it('does not begin for who only asks for its head, and outlives the limit of time of other answers', async () => {
    await start({ heartbeatMs: 10 }, { rest: { limits: { handlerTimeoutMs: 50, requestsPerClient: 1_000 } } });
    const { status } = await fetch(`${rig.url}/api/v1/events`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${rig.root.token}` },
    });
    expect(status).toBe(404);
    const heard = await hear('?topics=jobs');
    await heard.nextThat(({ event }) => event === 'jobs.snapshot');
    const begun = performance.now();
    void heard.rest().catch(() => undefined);
    const beats = () => heard.text.split('\n:\n\n').length;
    await eventually(() => expect(beats()).toBeGreaterThan(20));
    expect(performance.now() - begun).toBeGreaterThan(100);
  });

  it('is for a bounded number of clients, and of one user', async () => {
    await start({ maxStreams: 2, maxStreamsOfUser: 1 });
    const [guest, other] = [await rig.userWith(['guest']), await rig.userWith(['guest'])];
    const first = await hear('', guest.token);
    expect(first.status).toBe(200);
    const own = await rig.call('GET', '/api/v1/events', { token: guest.token });
    expect(own).toMatchObject({ status: 429, json: { message: 'you have 1 streams of events already' } });
    expect((await hear('', other.token)).status).toBe(200);
    const full = await rig.call('GET', '/api/v1/events', { token: rig.root.token });
    expect([full.status, full.json.message]).toEqual([503, '2 clients listen already, more cannot']);
    expect(Number(full.headers.get('retry-after'))).toBe(10);
    expect(await metric('event_streams')).toMatch(/event_streams 2$/m);
    first[Symbol.dispose]();
    await eventually(async () => expect((await hear('', guest.token)).status).toBe(200));
  });
});

describe('who may listen', () => {
  it('gets what he may read, and hears what that is', async () => {
    await start();
    const readsTasks = await rig.userWith([await makeRole(rig.database, [{ object: 'tasks', action: 'read' }])]);
    const begins = async (query: string, token: string, path = '/api/v1') => {
      const heard = await hear(query, token, { url: rig.url, path });
      return heard.status === 200 ? (await heard.next()).data : heard.status;
    };
    expect(await begins('', readsTasks.token)).toEqual({ topics: ['tasks'] });
    expect(await begins('?topics=jobs,tasks', readsTasks.token)).toEqual({ topics: ['tasks'] });
    expect(await begins('?topics=jobs,peers', readsTasks.token)).toBe(403);
    expect(await begins('', rig.root.token)).toEqual({ topics: ['tasks', 'jobs', 'peers'] });
    const { token } = await rig.tokenOf(rig.root.id, ['job:read']);
    expect(await begins('', token, '/oapi/v1')).toEqual({ topics: ['jobs'] });
    expect(await begins('?topics=tasks', token, '/oapi/v1')).toBe(403);
    const cookie = await listenTo(`${rig.url}/api/v1/events`, { cookie: `jwt=${rig.root.token}` });
    listeners.use(cookie);
    expect(cookie.status).toBe(200);
    const refused = await rig.call('GET', '/api/v1/events?topics=hosts', { token: rig.root.token });
    expect([refused.status, refused.json]).toEqual([
      422,
      { errors: 'topics: must name some of tasks, jobs, peers, with commas between' },
    ]);
  });

  it.each([
    ['is disabled', 'this user is disabled'],
    ['lost the role', 'permission deny'],
    ['has less to read', 'what you may listen to has changed'],
  ])('is cut off when he %s', async (what, reason) => {
    await start({ recheckMs: 20 });
    const [jobs, tasks] = [
      await makeRole(rig.database, [{ object: 'jobs', action: 'read' }]),
      await makeRole(rig.database, [{ object: 'tasks', action: 'read' }]),
    ];
    const { id, token } = await rig.userWith(what === 'has less to read' ? [jobs, tasks] : [jobs]);
    const heard = await hear('', token);
    await heard.nextThat(({ event }) => event === 'jobs.snapshot');
    if (what === 'is disabled')
      await rig.call('PATCH', `/api/v1/users/${id}`, { token: rig.root.token, body: { state: 'disable' } });
    else await rig.call('DELETE', `/api/v1/users/${id}/roles/${jobs}`, { token: rig.root.token });
    expect((await heard.rest()).at(-1)).toEqual({ event: 'end', data: { reason } });
  });

  it('is cut off when his token was taken back, or his session is over', async () => {
    let nowMs = Date.now();
    await start({ recheckMs: 20 }, { clock: () => nowMs, rest: { accessTtlMs: 1 } });
    const { id, token } = await rig.tokenOf(rig.root.id, ['job']);
    const [byToken, bySession] = [await hear('', token, { url: rig.url, path: '/oapi/v1' }), await hear()];
    await bySession.nextThat(({ event }) => event === 'jobs.snapshot');
    await new PersonalAccessTokenRepository(rig.database.db).update(id, { state: 'inactive' }, new Date());
    expect((await byToken.rest()).at(-1)).toEqual({ event: 'end', data: { reason: 'Token is inactive' } });
    nowMs += 1_000_000;
    expect((await bySession.rest()).at(-1)).toMatchObject({ data: { reason: 'the session is over, sign in again' } });
    expect(await metric('event_streams_ended_total')).toMatch(/reason="access"\} 2$/m);
  });
});

/** Until what the system keeps for a connection is full. */
const PATIENTLY = { timeoutMs: 100_000 };

describe('a client that does not read', () => {
  /** A thousand tasks that change from one look to the next, about a megabyte. */
  const restless = () => {
    let times = 0;
    return () => {
      times++;
      return Array.from({ length: 1_000 }, (_, n) => ({
        ...{ id: `t${n}`, url: `https://origin/${'x'.repeat(500)}`, state: 'Running', createdAtMs: 1n },
        updatedAtMs: BigInt(times),
      }));
    };
  };

  it('is dropped and told so, while others hear everything', async () => {
    // Some events' worth: who reads may fall behind a little.
    await start({ maxWaitingBytes: 4 * 1024 * 1024, endMs: 60_000 });
    await startScheduler({ tasks: restless() });
    const [slow, fast] = [await hear('?topics=tasks'), await hear('?topics=tasks')];
    let heard = 0;
    const counting = (async () => {
      for (;;) if ((await fast.next()).event === 'tasks.changed') heard++;
    })();
    await eventually(
      async () => expect(await metric('event_streams_ended_total')).toMatch(/reason="slow"\} 1$/m),
      PATIENTLY,
    );
    const before = heard;
    await eventually(() => expect(heard).toBeGreaterThan(before + 2), PATIENTLY);
    // What had been sent can still be read, and then why there is no more.
    const all = await slow.rest();
    expect(all[0]?.event).toBe('begin');
    expect(all.at(-1)).toEqual({
      event: 'end',
      data: { reason: 'events were not read as fast as they came' },
    });
    fast[Symbol.dispose]();
    await counting.catch(() => undefined);
  }, 120_000);

  it('is cut off, and does not hold up the stop', async () => {
    await start({ endMs: 50, maxWaitingBytes: 1024 ** 3 });
    const { asked } = await startScheduler({ tasks: restless() });
    await hear('?topics=tasks');
    const reads = await hear('?topics=jobs');
    await eventually(() => expect(asked.tasks).toBeGreaterThan(15), PATIENTLY);
    stopping.abort();
    expect((await reads.rest()).at(-1)).toEqual({ event: 'end', data: { reason: 'the manager is stopping' } });
    await eventually(async () => expect(await metric('event_streams')).toMatch(/event_streams 0$/m), PATIENTLY);
    expect(await metric('event_streams_ended_total')).toMatch(/reason="stopping"\} 2$/m);
    expect((await rig.call('GET', '/api/v1/events', { token: rig.root.token })).status).toBe(503);
  }, 120_000);

  it('is dropped by heartbeats as well, when less waits than may', async () => {
    await start({ heartbeatMs: 20, endMs: 50, maxWaitingBytes: 1024 ** 3 });
    await startScheduler({ tasks: restless() });
    await hear('?topics=tasks');
    await eventually(
      async () => expect(await metric('event_streams_ended_total')).toMatch(/reason="slow"\} 1$/m),
      PATIENTLY,
    );
  }, 120_000);

  it('over HTTP/2 is treated alike, and leaves no stream behind', async () => {
    await start({ maxWaitingBytes: 64 * 1024, endMs: 60_000 });
    await startScheduler({ tasks: restless() });
    const session = connect(rig.url);
    listeners.defer(() => session.destroy());
    const ask = (query: string) =>
      session.request({ ':path': `/api/v1/events${query}`, authorization: `Bearer ${rig.root.token}` });
    const [slow, left] = [ask('?topics=tasks').pause(), ask('?topics=jobs')];
    left.resume();
    await eventually(
      async () => expect(await metric('event_streams_ended_total')).toMatch(/reason="slow"\} 1$/m),
      PATIENTLY,
    );
    let text = '';
    for await (const chunk of slow.setEncoding('utf8')) text += chunk as string;
    expect(text).toMatch(/event: end\ndata: \{"reason":"events were not read as fast as they came"\}\n\n$/);
    left.close();
    await eventually(async () => expect(await metric('event_streams')).toMatch(/event_streams 0$/m), PATIENTLY);
    expect(await metric('event_streams_ended_total')).toMatch(/reason="gone"\} 1$/m);
  }, 120_000);
});

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { DfError } from '@d7y/piece';
import type { TestDatabases } from '@d7y/testkit';
import type { RestRig } from './_rig.ts';
import { startDatabases, startRest } from './_rig.ts';

let databases: TestDatabases;
let rig: RestRig;
beforeAll(async () => {
  databases = await startDatabases();
}, 60_000);
afterAll(async () => await databases[Symbol.asyncDispose]());
afterEach(async () => await rig[Symbol.asyncDispose]());

const SECRET = 'registry-token-of-a-job';
const run = promisify(execFile);

class RateLimitedError extends DfError {
  override readonly name = 'RateLimitedError';
  readonly code = 'JOB_RATE_LIMITED';
  readonly retryable = true;
}

describe('Harbor', () => {
  let token: string;
  let tokenId: number;
  beforeEach(async () => {
    rig = await startRest(databases);
    ({ id: tokenId, token } = await rig.tokenOf(rig.root.id, ['job']));
  });
  const harbor = (method: string, path: string, body?: string) =>
    rig.call(method, path, { token, ...(body !== undefined && { body }), headers: { accept: 'application/json' } });
  const url = 'https://harbor.example/v2/library/nginx/manifests/1.25';
  /** As its client writes it: every field, in this order, null where there is none. */
  const request = (headers: string, scope: string, ids: string) =>
    `{"type":"preheat","args":{"type":"image","url":"${url}","tag":"","filtered_query_params":"","headers":${headers},"scope":"${scope}","concurrent_count":0,"timeout":0},"scheduler_cluster_ids":${ids}}`;

  it('finds the instance healthy, whatever its credentials', async () => {
    expect((await harbor('GET', '/healthy')).text).toBe('"OK"');
    expect((await rig.call('GET', '/healthy', { headers: { authorization: 'Basic YWRtaW46eA==' } })).status).toBe(200);
  });

  it.each([
    ['no headers, no scope, no clusters', 'null', '', 'null'],
    ['its token and no clusters', `{"Authorization":"Bearer ${SECRET}"}`, '', 'null'],
    ['a scope and a cluster', `{"Authorization":"Bearer ${SECRET}"}`, 'all_peers', '[1]'],
    ['no clusters at all', '{}', 'single_seed_peer', '[]'],
  ])('creates a preheat with %s, and polls it', async (_what, headers, scope, ids) => {
    const created = await harbor('POST', '/oapi/v1/jobs', request(headers, scope, ids));
    expect(created.status).toBe(200);
    expect(created.json).toMatchObject({ id: 1, type: 'preheat', state: 'PENDING', result: null });
    for (const field of ['created_at', 'updated_at'])
      expect(created.json[field]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(rig.jobs.requests[0]?.args).toMatchObject({ type: 'image', url });
    expect((await harbor('GET', '/oapi/v1/jobs/1')).json).toMatchObject({ state: 'PENDING' });

    const states = [
      {
        results: [
          { success_tasks: [{ url, hostname: 'a', ip: '10.0.0.1' }], failure_tasks: [], scheduler_cluster_id: 1 },
        ],
        state: 'SUCCESS',
        error: '',
      },
    ];
    await rig.jobs.end(1, { state: 'SUCCESS', result: { group_uuid: 'g', state: 'SUCCESS', job_states: states } });
    const polled = await harbor('GET', '/oapi/v1/jobs/1');
    expect(polled.json).toMatchObject({ state: 'SUCCESS', result: { job_states: states } });
    expect(polled.text + created.text).not.toContain(SECRET);
  });

  it('reads why a preheat failed', async () => {
    await harbor('POST', '/oapi/v1/jobs', request('null', '', 'null'));
    await rig.jobs.end(1, {
      state: 'FAILURE',
      result: {
        group_uuid: 'g',
        state: 'FAILURE',
        job_states: [{ state: 'FAILURE', error: 'layer sha256:1 on node-7: 404', results: null }],
      },
      error: 'layer sha256:1 on node-7: 404',
    });
    const { json } = await harbor('GET', '/oapi/v1/jobs/1');
    expect(json).toMatchObject({
      state: 'FAILURE',
      result: { job_states: [{ error: 'layer sha256:1 on node-7: 404' }] },
    });
  });

  it('gets the same job with status 200 for the same request', async () => {
    const first = await harbor('POST', '/oapi/v1/jobs', request('null', '', 'null'));
    const second = await harbor('POST', '/oapi/v1/jobs', request(`{"Authorization":"Bearer ${SECRET}"}`, '', 'null'));
    expect([second.status, second.json.id]).toEqual([200, first.json.id]);
    expect([first, second].map(({ headers }) => headers.get('x-deduplicated'))).toEqual([null, 'true']);
  });

  it('is refused with a token that is inactive, over, of another scope, or unknown', async () => {
    const status = async (of: string) => {
      const { status: code, json } = await rig.call('GET', '/oapi/v1/jobs/1', { token: of });
      return [code, json.message];
    };
    const over = await rig.tokenOf(rig.root.id, ['job'], new Date('2020-01-01'));
    const clusters = await rig.tokenOf(rig.root.id, ['cluster']);
    expect(await status(over.token)).toEqual([403, 'Token has expired']);
    expect((await status(clusters.token))[0]).toBe(403);
    expect((await status('dfp_unknown'))[0]).toBe(401);
    expect((await rig.call('GET', '/oapi/v1/jobs/1')).status).toBe(401);
    const off = await rig.call('PATCH', `/api/v1/personal-access-tokens/${tokenId}`, {
      token: rig.root.token,
      body: { state: 'inactive' },
    });
    expect(off.json).toMatchObject({ state: 'inactive' });
    expect(await status(token)).toEqual([403, 'Token is inactive']);
  });

  it('hears that too many jobs were asked for', async () => {
    rig.jobs.failure = Object.assign(new RateLimitedError('rate limit exceeded'), { retryAfterMs: 2_500 });
    const { status, json, headers } = await harbor('POST', '/oapi/v1/jobs', request('null', '', 'null'));
    expect([status, json, headers.get('retry-after')]).toEqual([429, { message: 'rate limit exceeded' }, '3']);
  });
});

describe('the commands of the examples', () => {
  const SEED_ROUTES = ['preheat.create', 'preheat.get', 'jobs.create:preheat', 'jobs.get', 'tasks.list'];
  const curl = async (...args: string[]): Promise<string> => (await run('curl', ['-sS', ...args])).stdout;

  it('work where their routes are open', async () => {
    rig = await startRest(databases, { auth: { openRoutes: SEED_ROUTES } });
    const created = await curl(
      ...['--location', '--request', 'POST', `${rig.url}/api/v1/jobs`],
      ...['--header', 'Content-Type: application/json'],
      ...[
        '--data-raw',
        `{
    "type": "preheat",
    "args": {
        "type": "image",
        "url": "https://ghcr.io/v2/dragonflyoss/dragonfly2/manager/manifests/v2.0.5"
    }
}`,
      ],
    );
    expect(JSON.parse(created)).toMatchObject({ id: 1, state: 'PENDING' });
    await rig.jobs.end(1, { state: 'SUCCESS', result: { state: 'SUCCESS', job_states: [] } });
    expect(await curl('--request', 'GET', `${rig.url}/api/v1/jobs/1`)).toMatch(/success/i);

    const preheat = await curl(
      '-X',
      'POST',
      `${rig.url}/api/v1/preheat`,
      '-H',
      'Content-Type: application/json',
      '-d',
      `{
    "type": "image",
    "url": "harbor.example.com/production/myapp:v2.0.0",
    "scope": "all_peers",
    "headers": {
      "Authorization": "Bearer ${SECRET}"
    }
  }`,
    );
    expect(JSON.parse(preheat)).toEqual({ id: '2', job_id: 2, status: 'WAITING' });
    expect(rig.jobs.requests[1]?.args).toMatchObject({
      ...{ url: 'harbor.example.com/production/myapp:v2.0.0', scope: 'all_peers' },
    });
    expect(JSON.parse(await curl(`${rig.url}/api/v1/preheat/2`))).toMatchObject({
      ...{ id: '2', status: 'WAITING', progress: { layers_total: 0, layers_done: 0, peers_total: 0, peers_done: 0 } },
      ...{ startTime: null, finishTime: null, error: null },
    });
    const image = 'harbor.example.com/library/nginx:1.25';
    await curl(
      '-X',
      'POST',
      `${rig.url}/api/v1/preheat`,
      '-H',
      'Content-Type: application/json',
      '-d',
      `{"type":"image","url":"${image}"}`,
    );
    expect(rig.jobs.requests[2]?.args).toEqual({ type: 'image', url: image });
    expect(JSON.parse(await curl('-s', `${rig.url}/api/v1/tasks`))).toEqual([]);
    expect(rig.lines.join('')).not.toContain(SECRET);
  });

  it('are refused where they are not, and what is not open stays closed', async () => {
    rig = await startRest(databases, { auth: { openRoutes: ['jobs.create:preheat'] } });
    const preheat = { type: 'preheat', args: { type: 'image', url: 'nginx' } };
    expect((await rig.call('POST', '/api/v1/jobs', { body: preheat })).status).toBe(200);
    for (const [method, path, body] of [
      ['POST', '/api/v1/jobs', { type: 'delete_task', args: { task_id: 'x' } }],
      ['POST', '/api/v1/jobs', { type: 'gc', args: { type: 'job' } }],
      ['GET', '/api/v1/jobs/1', undefined],
      ['GET', '/api/v1/jobs', undefined],
      ['POST', '/api/v1/preheat', { type: 'image', url: 'nginx' }],
      ['GET', '/api/v1/tasks', undefined],
      ['DELETE', '/api/v1/jobs/1', undefined],
      ['POST', '/oapi/v1/jobs', preheat],
    ] as const)
      expect((await rig.call(method, path, { body })).status).toBe(401);
    expect((await rig.call('POST', '/api/v1/jobs', { body: preheat, token: 'nonsense' })).status).toBe(401);
  });

  it('are slowed down without credentials', async () => {
    rig = await startRest(databases, { auth: { openRoutes: ['tasks.list'] }, rest: { openCallsPerMinute: 2 } });
    const statuses: number[] = [];
    for (let n = 0; n < 3; n++) statuses.push((await rig.call('GET', '/api/v1/tasks')).status);
    expect(statuses).toEqual([200, 200, 429]);
    expect((await rig.call('GET', '/api/v1/tasks', { token: rig.root.token })).status).toBe(200);
  });
});

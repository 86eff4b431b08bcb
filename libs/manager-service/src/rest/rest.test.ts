import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PREFIXES } from '@d7y/manager-api';
import type { Doors } from '@d7y/manager-api';
import type { TestDatabases } from '@d7y/testkit';
import fc from 'fast-check';
import type { RestRig } from './_rig.ts';
import { pathOf, startDatabases, startRest, TABLE } from './_rig.ts';

let databases: TestDatabases;
let rig: RestRig;
beforeAll(async () => {
  databases = await startDatabases();
  rig = await startRest(databases);
}, 60_000);
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await databases[Symbol.asyncDispose]();
});
const asRoot = (method: string, path: string, body?: unknown) =>
  rig.call(method, `/api/v1${path}`, { token: rig.root.token, body });

const CLUSTER = {
  name: 'edge',
  scopes: { idc: 'a|b', cidrs: ['10.0.0.0/8'], hostnames: ['^edge-'], location: null },
  scheduler_cluster_config: { candidate_parent_limit: 4, job_rate_limit: 10 },
  seed_peer_cluster_config: { load_limit: 50, block_list: { task: { download: { urls: ['\\.iso$'], tags: null } } } },
  peer_cluster_config: { load_limit: 20 },
};

interface Operation {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
  readonly parameters?: readonly { readonly in: string; readonly required?: boolean }[];
  readonly security?: readonly Readonly<Record<string, unknown>>[];
}

interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, unknown>>;
    readonly securitySchemes: Readonly<Record<string, unknown>>;
  };
}

const openApi = async () => JSON.parse((await rig.call('GET', '/swagger/doc.json')).text) as OpenApi;

describe('clusters', () => {
  it('are made, found, changed in part and removed', async () => {
    const made = await asRoot('POST', '/clusters', CLUSTER);
    expect(made.status).toBe(200);
    const { id } = made.json as { id: number };
    expect(made.json).toMatchObject({
      ...{ name: 'edge', scheduler_cluster_id: id, is_default: false },
      scopes: { idc: 'a|b', cidrs: ['10.0.0.0/8'], hostnames: ['^edge-'] },
      seed_peer_cluster_config: { load_limit: 50, block_list: { task: { download: { urls: ['\\.iso$'] } } } },
    });
    expect(made.json.scopes).not.toHaveProperty('location');
    expect((await asRoot('GET', '/clusters?name=edge')).json).toMatchObject([{ id }]);
    expect((await asRoot('PATCH', `/clusters/${id}`, { is_default: true })).json).toMatchObject({
      is_default: true,
      name: 'edge',
    });
    // There is one default at most.
    expect((await asRoot('GET', '/clusters/1')).json).toMatchObject({ is_default: false });
    expect((await asRoot('PATCH', `/clusters/${id}`, { bio: 'b' })).json).toMatchObject({ is_default: true, bio: 'b' });
    expect((await asRoot('PATCH', `/clusters/${id}`, { is_default: false })).json).toMatchObject({ is_default: false });
    expect(await asRoot('POST', '/clusters', CLUSTER)).toMatchObject({
      status: 409,
      json: { message: expect.any(String) },
    });
    const scheduler = { host_name: 's', ip: '10.0.0.1', port: 8002, scheduler_cluster_id: id };
    const { json: member } = await asRoot('POST', '/schedulers', scheduler);
    expect(member).toMatchObject({ state: 'inactive', features: ['schedule', 'preheat'], scheduler_cluster: { id } });
    expect((await asRoot('DELETE', `/clusters/${id}`)).status).toBe(409);
    expect((await asRoot('GET', `/scheduler-clusters/${id}`)).json.schedulers).toMatchObject([{ id: member.id }]);
    expect(await asRoot('DELETE', `/schedulers/${member.id}`)).toMatchObject({ status: 200, text: '' });
    expect((await asRoot('DELETE', `/clusters/${id}`)).status).toBe(200);
    expect((await asRoot('GET', `/clusters/${id}`)).status).toBe(404);
  });

  it.each([
    [{ ...CLUSTER, unheard: 1 }, 'unheard'],
    [{ ...CLUSTER, scheduler_cluster_config: { candidate_parent_limit: 21 } }, 'candidate_parent_limit'],
    [{ ...CLUSTER, peer_cluster_config: { load_limit: 2001 } }, 'load_limit'],
    [{ ...CLUSTER, scopes: { cidrs: ['10.0.0.0'] } }, 'cidrs'],
    [{ ...CLUSTER, scopes: { hostnames: ['(?!a)'] } }, 'scopes.hostnames'],
    [{ name: 'x' }, 'scheduler_cluster_config'],
    ['{"name":', 'JSON'],
    ['', 'expected object'],
  ])('are refused with 422 and a reason: %j', async (body, reason) => {
    const { status, json } = await asRoot('POST', '/clusters', body);
    expect(status).toBe(422);
    expect(json.errors).toContain(reason);
  });
});

describe('lists', () => {
  it('come in pages, with links as the published manager writes them', async () => {
    for (let n = 0; n < 7; n++)
      await asRoot('POST', '/configs', { name: `config-${n}`, value: 'v', user_id: rig.root.id });
    const { json, headers } = await asRoot('GET', '/configs?per_page=3&page=2&value=v');
    expect(json).toMatchObject([{ name: 'config-3' }, { name: 'config-2' }, { name: 'config-1' }]);
    const link = (page: number, rel: string) => `</api/v1/configs?page=${page}&per_page=3&value=v>;rel=${rel}`;
    expect(headers.get('link')).toBe([link(1, 'prev'), link(3, 'next'), link(1, 'first'), link(3, 'last')].join(','));
    expect(headers.get('x-total-count')).toBe('7');
    expect((await asRoot('GET', '/configs?page=9&value=v')).json).toEqual([]);
    expect((await asRoot('GET', '/configs?per_page=10000000')).json).toHaveLength(8);
    expect((await asRoot('GET', '/configs?name=')).json).toHaveLength(8);
  });

  it.each(['page=0', 'per_page=0', 'per_page=10000001', 'page=x', 'page=1&page=2', 'unheard=1'])(
    'refuse %s with 422',
    async (query) => {
      expect((await asRoot('GET', `/configs?${query}`)).status).toBe(422);
    },
  );
});

describe('what is not there', () => {
  it.each(['/api/v1/nothing', '/oapi/v1/users', '/api/v2', '/api', '/nothing', '/metrics'])(
    '%s is answered in JSON with 404',
    async (path) => {
      expect(await rig.call('GET', path)).toMatchObject({ status: 404, json: { message: expect.any(String) } });
    },
  );

  it('has headers all the same', async () => {
    const { headers } = await rig.call('GET', '/api/v1/nothing');
    expect(headers.get('x-server-ip')).toBe('10.0.0.9');
    expect(headers.get('content-security-policy')).toContain("default-src 'self'");
    expect(headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('requests', () => {
  it('that are too large or no JSON are refused', async () => {
    expect((await asRoot('POST', '/configs', `"${'x'.repeat(1024 * 1024)}"`)).status).toBe(413);
    const form = {
      token: rig.root.token,
      body: 'a=b',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    };
    expect((await rig.call('POST', '/api/v1/configs', form)).status).toBe(415);
    expect((await asRoot('POST', '/configs', '{"__proto__":{"a":1}}')).status).toBe(422);
  });

  it('of any shape are answered, never with 500, a stack or a secret', async () => {
    const secret = 'planted-secret-value';
    const bodies = fc.oneof(
      fc.jsonValue(),
      fc.dictionary(
        fc.constantFrom(
          'name',
          'password',
          'type',
          'args',
          'url',
          'value',
          'user_id',
          'scopes',
          'priority',
          'role',
          'ip',
        ),
        fc.jsonValue(),
      ),
      fc.record({
        type: fc.constantFrom('preheat', 'gc', 'delete_task'),
        args: fc.dictionary(fc.constantFrom('type', 'url', 'headers', 'ips', 'scope', 'timeout'), fc.jsonValue()),
      }),
    );
    const changing = TABLE.filter(([, { body, doors }]) => body !== undefined && doors.session);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...changing), bodies, async ([, route], body) => {
        const planted =
          typeof body === 'object' && body !== null && !Array.isArray(body) ? { ...body, password: secret } : body;
        const parameters = { id: String(rig.root.id), role: 'guest' };
        const answer = await rig.call(route.method, pathOf(route, 'session', parameters), {
          token: rig.root.token,
          body: JSON.stringify(planted),
        });
        expect(answer.status).toBeLessThan(500);
        expect(answer.text).not.toMatch(/planted-secret-value|\.ts:\d|at \w+ \(|select |insert /);
      }),
      { numRuns: 150 },
    );
    expect(rig.lines.join('')).not.toContain(secret);
  }, 120_000);

  it('with odd paths are answered, never with 500', async () => {
    for (const path of [
      '/users/0',
      '/users/-1',
      '/users/9007199254740993',
      '/users/1e400',
      '/users/%00',
      '/users/%ff',
      '/roles/%2e%2e',
      `/users/${'9'.repeat(300)}`,
    ])
      expect((await asRoot('GET', path)).status).toBeLessThan(500);
  });
});

describe('the OpenAPI document', () => {
  it('has every route at each of its doors, and no others', async () => {
    const { paths } = await openApi();
    const described = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const registered = TABLE.flatMap(([, { method, path, doors }]) =>
      (Object.keys(doors) as (keyof Doors)[]).map(
        (door) => `${method} ${PREFIXES[door]}${path.replace(/:(\w+)/g, '{$1}')}`,
      ),
    );
    expect(described.sort()).toEqual(registered.sort());
  });

  it('is one of OpenAPI 3.1: every reference leads somewhere, every operation has a name of its own and answers', async () => {
    const document = await openApi();
    expect(document.openapi).toBe('3.1.0');
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(
      ([, name]) => name,
    );
    expect(references.length).toBeGreaterThan(50);
    for (const name of references) expect(Object.keys(document.components.schemas)).toContain(name);
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { responses, parameters = [], security } of operations) {
      expect(responses['200']?.description).toEqual(expect.any(String));
      for (const parameter of parameters) {
        expect(parameter).toMatchObject({
          name: expect.any(String),
          in: expect.stringMatching(/^(path|query|header)$/),
        });
        if (parameter.in === 'path') expect(parameter.required).toBe(true);
      }
      for (const one of security ?? [])
        for (const name of Object.keys(one)) expect(document.components.securitySchemes).toHaveProperty(name);
    }
  });

  it('says that events are a stream, and what they are', async () => {
    const { paths, components } = await openApi();
    for (const prefix of [PREFIXES.session, PREFIXES.token])
      expect(paths[`${prefix}/events`]?.['get']?.responses['200']).toMatchObject({
        content: { 'text/event-stream': { schema: { $ref: '#/components/schemas/WatchEvent' } } },
      });
    expect(JSON.stringify(components.schemas['WatchEvent'])).toContain('jobs.changed');
  });

  it('has a page that shows it', async () => {
    const response = await fetch(`${rig.url}/swagger/`);
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('swagger-ui')]);
    expect((await fetch(`${rig.url}/swagger/static/swagger-ui-bundle.js`)).status).toBe(200);
  });
});

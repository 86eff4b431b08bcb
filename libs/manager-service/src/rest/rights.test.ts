import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Access, Doors, Route } from '@d7y/manager-api';
import { ROUTES } from '@d7y/manager-api';
import type { TestDatabases } from '@d7y/testkit';
import type { RestRig } from './_rig.ts';
import { makeRole, pathOf, startDatabases, startRest, TABLE } from './_rig.ts';

let databases: TestDatabases;
let rig: RestRig;
/** Credentials by who has them. */
let sessions: Record<'guest' | 'root' | 'bare', string>;
let tokens: Record<'job' | 'cluster' | 'job:read' | 'cluster:read' | 'bareJob' | 'bareCluster', string>;
const withRight = new Map<string, string>();
/** Of a user who may read clusters, and nothing else. */
let readsClusters: string;

beforeAll(async () => {
  databases = await startDatabases();
  rig = await startRest(databases);
  const [guest, bare] = [await rig.userWith(['guest']), await rig.userWith([])];
  sessions = { guest: guest.token, bare: bare.token, root: rig.root.token };
  const of = async (userId: number, scope: string) => (await rig.tokenOf(userId, [scope])).token;
  tokens = {
    job: await of(rig.root.id, 'job'),
    cluster: await of(rig.root.id, 'cluster'),
    'job:read': await of(rig.root.id, 'job:read'),
    'cluster:read': await of(rig.root.id, 'cluster:read'),
    bareJob: await of(bare.id, 'job'),
    bareCluster: await of(bare.id, 'cluster'),
  };
  for (const [id, { access }] of TABLE) {
    const needed = rightsOf(access)[0];
    if (needed === undefined) continue;
    const role = await makeRole(rig.database, [needed]);
    withRight.set(id, (await rig.userWith([role])).token);
  }
  const role = await makeRole(rig.database, [{ object: 'clusters', action: 'read' }]);
  readsClusters = (await rig.userWith([role])).token;
}, 120_000);
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await databases[Symbol.asyncDispose]();
});

/** The rights that let somebody in, each by itself; none where none is asked. */
function rightsOf(access: Access): readonly { readonly object: string; readonly action: 'read' | '*' }[] {
  if (access.kind === 'right') return [{ object: access.object, action: access.action }];
  if (access.kind !== 'topics') return [];
  return Object.values(access.lists).flatMap((id) =>
    rightsOf((ROUTES as Readonly<Record<string, Route>>)[id]?.access ?? access),
  );
}
/** Statuses of who was let in: whatever the request deserves, but not that he may not. */
const isLetIn = (status: number): boolean => status !== 401 && status !== 403;
const ask = async (route: Route, door: keyof Doors, token?: string): Promise<number> => {
  const body = route.method === 'GET' || route.body === undefined ? undefined : { unheard: true };
  // Without what is answered: a stream would not end.
  const left = new AbortController();
  const headers = {
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    'content-type': 'application/json',
  };
  const { status } = await fetch(rig.url + pathOf(route, door), {
    ...{ method: route.method, redirect: 'manual', headers, signal: left.signal },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  left.abort();
  return status;
};
const routesWith = (door: keyof Doors) =>
  TABLE.filter(([, { doors, access }]) => doors[door] && rightsOf(access).length > 0);

describe('through the door of sessions', () => {
  it.each(routesWith('session'))('%s lets in who has the right, and root, and nobody else', async (id, route) => {
    const action = rightsOf(route.access)[0]?.action;
    expect(await ask(route, 'session')).toBe(401);
    expect(await ask(route, 'session', 'nonsense')).toBe(401);
    expect(await ask(route, 'session', tokens.job)).toBe(401);
    expect(await ask(route, 'session', sessions.bare)).toBe(403);
    expect(isLetIn(await ask(route, 'session', sessions.guest))).toBe(action === 'read');
    expect(isLetIn(await ask(route, 'session', withRight.get(id)))).toBe(true);
    expect(isLetIn(await ask(route, 'session', sessions.root))).toBe(true);
  });

  it('a right to one group is none to another, and to read is not to change', async () => {
    for (const [, route] of routesWith('session')) {
      const isIt = rightsOf(route.access).some(({ object, action }) => object === 'clusters' && action === 'read');
      expect(isLetIn(await ask(route, 'session', readsClusters))).toBe(isIt);
    }
  });
});

describe('through the door of tokens', () => {
  it.each(routesWith('token'))('%s lets in tokens of its scope whose owner has the right', async (_id, route) => {
    const { access, doors } = route;
    const scope = doors.token ?? 'job';
    const other = scope === 'job' ? 'cluster' : 'job';
    expect(await ask(route, 'token')).toBe(401);
    expect(await ask(route, 'token', 'dfp_unknown')).toBe(401);
    expect(await ask(route, 'token', sessions.root)).toBe(401);
    expect(await ask(route, 'token', tokens[other])).toBe(403);
    expect(await ask(route, 'token', scope === 'job' ? tokens.bareJob : tokens.bareCluster)).toBe(403);
    expect(isLetIn(await ask(route, 'token', tokens[scope]))).toBe(true);
    const reads = rightsOf(access)[0]?.action === 'read';
    expect(isLetIn(await ask(route, 'token', tokens[`${scope}:read`]))).toBe(reads);
  });

  it('there is no way to what has no such door', async () => {
    for (const [, route] of TABLE.filter(([, { doors }]) => doors.token === undefined)) {
      expect(await ask(route, 'token', tokens.job)).toBe(404);
    }
  });
});

describe('without credentials', () => {
  it('open routes answer, and health whatever the credentials', async () => {
    for (const path of ['/healthy', '/readyz']) {
      for (const headers of [{}, { authorization: 'Bearer nonsense' }, { authorization: 'Basic YTpi' }]) {
        expect(await rig.call('GET', path, { headers })).toMatchObject({ status: 200, json: 'OK' });
      }
    }
  });

  it('open nothing else, also with HEAD, OPTIONS, another case or a slash at the end', async () => {
    for (const [method, path] of [
      ['HEAD', '/api/v1/users'],
      ['OPTIONS', '/api/v1/users'],
      ['GET', '/api/v1/users/'],
      ['GET', '/API/v1/users'],
      ['GET', '/api/v1//users'],
      ['GET', '/api/v1/%75sers'],
    ] as const)
      expect([401, 404]).toContain((await rig.call(method, path)).status);
  });
});

describe('users themselves', () => {
  it('see and change what is theirs, and not what is others’', async () => {
    const [ada, bob] = [await rig.userWith([]), await rig.userWith([])];
    const as = (token: string) => (method: string, path: string, body?: unknown) =>
      rig.call(method, `/api/v1/users/${path}`, { token, body });
    const asAda = as(ada.token);
    expect((await asAda('GET', 'me')).json).toMatchObject({ id: ada.id, name: ada.name, roles: [], permissions: [] });
    expect((await asAda('GET', String(ada.id))).json).toMatchObject({ name: ada.name, is_del: 0 });
    expect((await asAda('PATCH', String(ada.id), { bio: 'hello' })).json).toMatchObject({ bio: 'hello' });
    expect((await asAda('GET', `${ada.id}/roles`)).json).toEqual([]);
    for (const [method, path, body] of [
      ['GET', String(bob.id)],
      ['PATCH', String(bob.id), { bio: 'x' }],
      ['POST', `${bob.id}/reset_password`, { new_password: 'long enough' }],
      ['PUT', `${ada.id}/roles/root`],
      ['PATCH', String(ada.id), { state: 'enable' }],
    ] as const)
      expect((await asAda(method, path, body)).status).toBe(403);
  });
});

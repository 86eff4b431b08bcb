import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { UserRepository } from '@d7y/manager-db';
import type { TestDatabases } from '@d7y/testkit';
import { eventually } from '@d7y/testkit';
import type { RestRig, RigOptions } from './_rig.ts';
import { ROOT_PASSWORD, startDatabases, startRest } from './_rig.ts';

let databases: TestDatabases;
let rig: RestRig;
beforeAll(async () => {
  databases = await startDatabases();
}, 60_000);
afterAll(async () => await databases[Symbol.asyncDispose]());
afterEach(async () => await rig[Symbol.asyncDispose]());
const start = async (options?: RigOptions) => {
  rig = await startRest(databases, options);
};
const signIn = (password = ROOT_PASSWORD, name = 'root', headers = {}) =>
  rig.call('POST', '/api/v1/users/signin', { body: { name, password }, headers });
const cookiesOf = (headers: Headers): Record<string, string> =>
  Object.fromEntries(
    headers.getSetCookie().map((cookie) => (cookie.split(';', 1)[0] ?? '').split('=', 2) as [string, string]),
  );

/** One of the audit log. */
interface Entry extends Readonly<Record<string, unknown>> {
  readonly detail: { readonly route: string };
}

describe('signing in', () => {
  it('gives a token, and cookies that scripts cannot read', async () => {
    await start();
    const { status, json, headers } = await signIn();
    expect(status).toBe(200);
    expect(json).toMatchObject({ token: expect.stringMatching(/^ey/), expire: expect.any(String) });
    for (const cookie of headers.getSetCookie()) expect(cookie).toMatch(/; HttpOnly; SameSite=(Lax|Strict)/);
    expect((await rig.call('GET', '/api/v1/users/me', { token: json.token })).json).toMatchObject({
      name: 'root',
      roles: ['root'],
    });
    const { jwt } = cookiesOf(headers);
    expect((await rig.call('GET', '/api/v1/users/me', { headers: { cookie: `jwt=${jwt}` } })).status).toBe(200);
    expect((await rig.call('GET', `/api/v1/users/me?token=${json.token}`)).status).toBe(401);
  });

  it('is refused with a wrong name or password in the same words, then for a minute', async () => {
    await start();
    const [wrong, unknown] = [await signIn('wrong'), await signIn('wrong', 'nobody')];
    expect([wrong.status, wrong.json]).toEqual([401, unknown.json]);
    for (let n = 0; n < 4; n++) await signIn('wrong');
    const { status, headers } = await signIn();
    expect(status).toBe(429);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  });

  it('ends with signing out, for the token as well', async () => {
    await start();
    const { json } = await signIn();
    await rig.call('POST', '/api/v1/users/signout', { token: json.token });
    expect((await rig.call('GET', '/api/v1/users/me', { token: json.token })).status).toBe(401);
    const refreshed = await rig.call('POST', '/api/v1/users/refresh_token', {
      body: { refresh_token: json.refresh_token },
    });
    expect(refreshed.status).toBe(401);
  });

  it('goes on by a refresh token, once each; a second use ends the session', async () => {
    await start();
    const { json: first, headers } = await signIn();
    const refresh = (token: string) =>
      rig.call('POST', '/api/v1/users/refresh_token', { body: { refresh_token: token } });
    const second = await rig.call('POST', '/api/v1/users/refresh_token', {
      headers: { cookie: `refresh_token=${cookiesOf(headers)['refresh_token']}` },
    });
    expect(second.status).toBe(200);
    expect((await refresh(first.refresh_token)).status).toBe(401);
    expect((await refresh(second.json.refresh_token)).status).toBe(401);
    expect((await rig.call('GET', '/api/v1/users/me', { token: second.json.token })).status).toBe(401);
  });

  it('by a cookie changes things only for pages of this manager', async () => {
    await start({ rest: { allowedOrigins: ['https://console.example'] } });
    const { jwt } = cookiesOf((await signIn()).headers);
    const change = async (headers: Record<string, string>) =>
      (
        await rig.call('PATCH', '/api/v1/users/1', {
          body: { bio: 'x' },
          headers: { cookie: `jwt=${jwt}`, ...headers },
        })
      ).status;
    expect(await change({ 'sec-fetch-site': 'same-origin' })).toBe(200);
    expect(await change({ origin: rig.url })).toBe(200);
    expect(await change({ origin: 'https://console.example', 'sec-fetch-site': 'cross-site' })).toBe(200);
    expect(await change({ origin: 'https://evil.example' })).toBe(403);
    expect(await change({ 'sec-fetch-site': 'cross-site' })).toBe(403);
    expect(await change({})).toBe(403);
    expect((await signIn(ROOT_PASSWORD, 'root', { origin: 'https://evil.example' })).status).toBe(403);
    const preflight = (origin: string) =>
      rig.call('OPTIONS', '/api/v1/users', { headers: { origin, 'access-control-request-method': 'GET' } });
    expect((await preflight('https://console.example')).headers.get('access-control-allow-origin')).toBe(
      'https://console.example',
    );
    expect((await preflight('https://evil.example')).headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('users', () => {
  it('sign up only where that is open, and are guests then', async () => {
    const body = { name: 'newcomer', password: 'long enough', email: 'new@example.com' };
    await start();
    expect((await rig.call('POST', '/api/v1/users/signup', { body })).status).toBe(403);
    await rig[Symbol.asyncDispose]();
    await start({ auth: { isSignUpOpen: true } });
    const { json, text } = await rig.call('POST', '/api/v1/users/signup', { body });
    expect(json).toMatchObject({ name: 'newcomer', state: 'enable' });
    expect(text).not.toMatch(/argon2|long enough/);
    expect((await rig.call('POST', '/api/v1/users/signup', { body })).status).toBe(409);
    const session = (await signIn('long enough', 'newcomer')).json;
    expect((await rig.call('GET', '/api/v1/users/me', { token: session.token })).json.roles).toEqual(['guest']);
  });

  it('change their password by the old one, which ends their sessions', async () => {
    await start();
    const { json } = await signIn();
    const change = (body: object) =>
      rig.call('POST', `/api/v1/users/${rig.root.id}/reset_password`, { token: json.token, body });
    expect((await change({ new_password: 'another one' })).status).toBe(422);
    expect((await change({ old_password: 'wrong', new_password: 'another one' })).status).toBe(401);
    expect((await change({ old_password: ROOT_PASSWORD, new_password: 'another one' })).status).toBe(200);
    expect((await rig.call('GET', '/api/v1/users/me', { token: json.token })).status).toBe(401);
    expect([(await signIn()).status, (await signIn('another one')).status]).toEqual([401, 200]);
  });

  it('that are disabled are shut out at once, with their tokens', async () => {
    await start();
    const ada = await rig.userWith(['guest']);
    const { token } = await rig.tokenOf(ada.id, ['cluster:read']);
    const see = async () => [
      (await rig.call('GET', '/api/v1/clusters', { token: ada.token })).status,
      (await rig.call('GET', '/oapi/v1/clusters', { token })).status,
    ];
    expect(await see()).toEqual([200, 200]);
    const set = (state: string) =>
      rig.call('PATCH', `/api/v1/users/${ada.id}`, { token: rig.root.token, body: { state } });
    expect((await set('disable')).json.state).toBe('disable');
    expect(await see()).toEqual([403, 403]);
    await set('enable');
    expect(await see()).toEqual([200, 200]);
  });

  it('always have a root among them', async () => {
    await start();
    const asRoot = (method: string, path: string, body?: unknown) =>
      rig.call(method, `/api/v1${path}`, { token: rig.root.token, body });
    const role = `/users/${rig.root.id}/roles/root`;
    expect((await asRoot('DELETE', role)).status).toBe(409);
    expect((await asRoot('DELETE', '/roles/root')).status).toBe(409);
    expect((await asRoot('DELETE', '/roles/root/permissions', { object: 'users', action: '*' })).status).toBe(409);
    expect((await asRoot('PATCH', `/users/${rig.root.id}`, { state: 'disable' })).status).toBe(409);
    const second = await rig.userWith(['root']);
    expect((await asRoot('DELETE', role)).status).toBe(200);
    expect((await asRoot('GET', '/users')).status).toBe(403);
    expect(await new UserRepository(rig.database.db).rolesOf(second.id)).toEqual(['root']);
  });

  it('cannot make themselves root by the rights that they have', async () => {
    await start();
    const asRoot = (method: string, path: string, body?: unknown) =>
      rig.call(method, `/api/v1${path}`, { token: rig.root.token, body });
    const groups = ['users', 'roles', 'personal-access-tokens', 'jobs'];
    await asRoot('POST', '/roles', { role: 'almost', permissions: groups.map((object) => ({ object, action: '*' })) });
    const eve = await rig.userWith(['almost']);
    const asEve = async (method: string, path: string, body?: unknown) =>
      (await rig.call(method, `/api/v1${path}`, { token: eve.token, body })).status;
    expect(await asEve('PUT', `/users/${eve.id}/roles/root`)).toBe(403);
    expect(await asEve('POST', '/roles', { role: 'more', permissions: [{ object: 'clusters', action: '*' }] })).toBe(
      403,
    );
    expect(await asEve('POST', '/roles/almost/permissions', { object: 'clusters', action: 'read' })).toBe(403);
    expect(await asEve('POST', `/users/${rig.root.id}/reset_password`, { new_password: 'mine now 1' })).toBe(403);
    expect(await asEve('PATCH', `/users/${rig.root.id}`, { email: 'eve@example.com' })).toBe(403);
    const token = { name: 't', expired_at: '2999-01-01T00:00:00Z', scopes: ['cluster'] };
    expect(await asEve('POST', '/personal-access-tokens', { ...token, user_id: rig.root.id })).toBe(403);
    const own = await rig.call('POST', '/api/v1/personal-access-tokens', {
      token: eve.token,
      body: { ...token, user_id: eve.id },
    });
    expect((await rig.call('GET', '/oapi/v1/clusters', { token: own.json.token })).status).toBe(403);
  });
});

describe('roles', () => {
  it('are made, changed and seen at once', async () => {
    await start();
    const asRoot = (method: string, path: string, body?: unknown) =>
      rig.call(method, `/api/v1${path}`, { token: rig.root.token, body });
    const ada = await rig.userWith([]);
    const see = async () => (await rig.call('GET', '/api/v1/configs', { token: ada.token })).status;
    expect(await see()).toBe(403);
    await asRoot('POST', '/roles', { role: 'reader', permissions: [{ object: 'configs', action: 'read' }] });
    await asRoot('PUT', `/users/${ada.id}/roles/reader`);
    expect(await see()).toBe(200);
    expect((await asRoot('PUT', `/users/${ada.id}/roles/reader`)).status).toBe(409);
    expect((await asRoot('GET', '/roles/reader')).json).toEqual([['reader', 'configs', 'read']]);
    expect((await asRoot('GET', '/roles')).json).toEqual(['guest', 'reader', 'root']);
    await asRoot('DELETE', '/roles/reader/permissions', { object: 'configs', action: 'read' });
    expect(await see()).toBe(403);
    expect((await asRoot('POST', '/roles/reader/permissions', { object: 'nothing', action: 'read' })).status).toBe(422);
    expect((await asRoot('DELETE', '/roles/unheard')).status).toBe(404);
    expect((await asRoot('GET', '/permissions')).json).toContainEqual({ object: 'clusters', action: '*' });
  });

  it('are seen by other managers, too, long before what they remember is too old', async () => {
    await start({ rest: { accessTtlMs: 600_000 } });
    const ada = await rig.userWith([]);
    await using other = await rig.another();
    const see = async () => (await other.call('GET', '/api/v1/configs', { token: ada.token })).status;
    expect(await see()).toBe(403);
    await rig.call('PUT', `/api/v1/users/${ada.id}/roles/guest`, { token: rig.root.token });
    await eventually(async () => expect(await see()).toBe(200));
  });
});

describe('personal access tokens', () => {
  it('are shown once, and kept as what only recognises them', async () => {
    await start();
    const asRoot = (method: string, path: string, body?: unknown) =>
      rig.call(method, `/api/v1${path}`, { token: rig.root.token, body });
    const wanted = { name: 'harbor', expired_at: '2999-01-01T00:00:00+02:00', user_id: rig.root.id };
    const { json } = await asRoot('POST', '/personal-access-tokens', wanted);
    expect(json).toMatchObject({
      scopes: ['job', 'cluster'],
      state: 'active',
      last_used_at: null,
      user: { name: 'root' },
    });
    expect(json.token).toMatch(/^dfp_[\w-]{43}$/);
    expect(json.token.startsWith(json.token_prefix)).toBe(true);
    expect((await rig.call('GET', '/oapi/v1/jobs', { token: json.token })).status).toBe(200);
    await eventually(async () =>
      expect((await asRoot('GET', `/personal-access-tokens/${json.id}`)).json.last_used_at).not.toBeNull(),
    );
    for (const path of ['', `/${json.id}`]) {
      const { text } = await asRoot('GET', `/personal-access-tokens${path}`);
      expect(text).not.toContain(json.token);
    }
    expect((await asRoot('POST', '/personal-access-tokens', wanted)).status).toBe(409);
    expect(
      (await asRoot('POST', '/personal-access-tokens', { ...wanted, name: 'old', expired_at: '2020-01-01T00:00:00Z' }))
        .status,
    ).toBe(422);
    await asRoot('DELETE', `/personal-access-tokens/${json.id}`);
    expect((await rig.call('GET', '/oapi/v1/jobs', { token: json.token })).status).toBe(401);
  });
});

describe('the audit log', () => {
  it('tells who changed what, and who came, but not what they brought', async () => {
    await start();
    await signIn('planted-wrong-password');
    const { json } = await signIn();
    await rig.call('POST', '/api/v1/configs', {
      token: json.token,
      body: { name: 'a', value: 'planted-value', user_id: rig.root.id },
    });
    await rig.call('GET', '/api/v1/configs', { token: json.token });
    await rig.call('DELETE', '/api/v1/configs/999?planted=query', { token: json.token });
    const { token } = await rig.tokenOf(rig.root.id, ['job']);
    await rig.call('DELETE', '/oapi/v1/jobs/999', { token });
    await rig.rest.flushAudits();
    const { text } = await rig.call('GET', '/api/v1/audits', { token: rig.root.token });
    const entries = JSON.parse(text) as readonly Entry[];
    expect(
      entries.map((entry) => [
        entry['actor_type'],
        entry['actor_name'],
        entry['operation'],
        entry['path'],
        entry['status_code'],
        entry['state'],
        entry.detail.route,
      ]),
    ).toEqual([
      ['PAT', expect.stringMatching(/^token-/), 'DELETE', '/oapi/v1/jobs/999', 404, 'FAILURE', 'jobs.delete'],
      ['USER', 'root', 'DELETE', '/api/v1/configs/999', 404, 'FAILURE', 'configs.delete'],
      ['USER', 'root', 'POST', '/api/v1/configs', 200, 'SUCCESS', 'configs.create'],
      ['USER', 'root', 'POST', '/api/v1/users/signin', 200, 'SUCCESS', 'users.signIn'],
      ['USER', 'root', 'POST', '/api/v1/users/signin', 401, 'FAILURE', 'users.signIn'],
    ]);
    expect(entries[0]?.detail).toMatchObject({ ip: '127.0.0.1', request_id: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    expect(text + rig.lines.join('')).not.toContain('planted');
    expect((await rig.call('GET', '/api/v1/audits?actor_type=PAT', { token: rig.root.token })).json).toHaveLength(1);
  });
});

describe('a client that asks too often', () => {
  it('is told to slow down', async () => {
    await start({ rest: { limits: { requestsPerClient: 3 } } });
    const statuses: number[] = [];
    for (let n = 0; n < 4; n++)
      statuses.push((await rig.call('GET', '/api/v1/clusters', { token: rig.root.token })).status);
    expect(statuses).toEqual([200, 200, 200, 429]);
    expect((await rig.call('GET', '/healthy')).status).toBe(200);
  });
});

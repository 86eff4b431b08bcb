import { describe, expect, it } from '@jest/globals';
import { OriginStatusError } from '@d7y/peer-engine';
import { type Answer, ask, FakeRegistry, startProxy } from '../_fakes.ts';
import type { RegistryPolicy } from '../config.ts';
import { SealedCredentials } from './sealed-credentials.ts';

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
const TAGS = '/v2/registry.test/org/app/tags/list';
const BLOB = `/v2/registry.test/org/app/blobs/sha256:${'b'.repeat(64)}`;

/** A registry with tokens: everybody may read `org/app`, only `jane` may read the rest. */
async function tokenRegistry(): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start((request, response) => {
    const url = new URL(request.url ?? '/', `http://${registry.authority}`);
    const { authorization } = request.headers;
    if (url.pathname === '/token') {
      if (authorization !== undefined && authorization !== basic('jane:pw')) return void response.writeHead(401).end();
      const who = authorization === undefined ? 'anybody' : 'jane';
      const token = `${who}-${url.searchParams.get('scope')}`.replace(/[^\w-]/g, '_');
      return void response.end(JSON.stringify({ token, expires_in: 300 }));
    }
    const repository = /^\/v2\/(.+)\/(tags|blobs|manifests)\//.exec(url.pathname)?.[1];
    const isPublic = repository === 'org/app';
    const scope = `_repository_${repository?.replace(/\W/g, '_')}_pull`.slice(1);
    const accepted = [`Bearer jane-${scope}`, ...(isPublic ? [`Bearer anybody-${scope}`] : [])];
    if (repository !== undefined && accepted.includes(authorization ?? '')) return void response.end('{"tags":[]}');
    const challenge = `Bearer realm="http://${registry.authority}/token",service="r",scope="repository:${repository}:pull"`;
    response.writeHead(401, { 'www-authenticate': challenge }).end();
  });
  return registry;
}

const named = (registry: FakeRegistry) => ({
  registries: new Map<string, RegistryPolicy>([['registry.test', { base: `http://${registry.authority}` }]]),
});

/** What docker, podman and containerd do with a challenge. */
async function follow(port: number, { headers }: Answer, authorization?: string): Promise<string> {
  const challenge = headers['www-authenticate'] ?? '';
  const realm = new URL(/realm="([^"]*)"/.exec(challenge)?.[1] ?? '');
  expect(realm.host).toBe(`127.0.0.1:${port}`);
  realm.searchParams.set('service', /service="([^"]*)"/.exec(challenge)?.[1] ?? '');
  const answer = await ask(port, realm.pathname + realm.search, authorization ? { headers: { authorization } } : {});
  expect(answer.status).toBe(200);
  return `Bearer ${(JSON.parse(answer.body.toString()) as { token: string }).token}`;
}

describe('login in path prefix mode', () => {
  it('gives anybody a token that opens what the registry opens to anybody', async () => {
    await using registry = await tokenRegistry();
    await using proxy = await startProxy(named(registry));
    const ping = await ask(proxy.port, '/v2/');
    expect([ping.status, ping.headers['docker-distribution-api-version']]).toEqual([401, 'registry/2.0']);
    const authorization = await follow(proxy.port, ping);
    expect((await ask(proxy.port, '/v2/', { headers: { authorization } })).status).toBe(200);
    expect((await ask(proxy.port, TAGS, { headers: { authorization } })).status).toBe(200);
    // Also for those who never asked: containerd does not.
    expect((await ask(proxy.port, TAGS)).status).toBe(200);
    await ask(proxy.port, BLOB, { headers: { authorization } });
    expect(proxy.engine.requests[0]?.credentials).toEqual({});
  });

  it('uses the password that a client brought at the realm of its registry, and shows it to nobody else', async () => {
    await using registry = await tokenRegistry();
    await using proxy = await startProxy(named(registry));
    proxy.origin.answer = ({ credentials }) => ('authorization' in credentials ? 200 : 401);
    const secret = TAGS.replace('org/app', 'org/secret');
    const refused = await ask(proxy.port, secret);
    expect(refused.status).toBe(401);
    expect(refused.headers['www-authenticate']).toContain('scope="repository:registry.test/org/secret:pull"');
    const authorization = await follow(proxy.port, refused, basic('jane:pw'));
    expect((await ask(proxy.port, secret, { headers: { authorization } })).status).toBe(200);
    expect((await ask(proxy.port, secret, { headers: { authorization: basic('jane:pw') } })).status).toBe(200);
    await ask(proxy.port, BLOB, { headers: { authorization } });
    expect(proxy.engine.requests[0]?.credentials['authorization']?.reveal()).toBe(
      'Bearer jane-repository_org_app_pull',
    );
    const withPassword = registry.requests.filter(({ headers }) => headers.authorization === basic('jane:pw'));
    expect(new Set(withPassword.map(({ url }) => url.split('?')[0]))).toEqual(new Set(['/token']));
    expect(registry.requests.some(({ headers }) => headers.authorization?.includes('d7y.'))).toBe(false);
    expect(JSON.stringify(proxy.logs)).not.toContain(authorization.slice(7));
  });

  it('passes on that a password is wrong, as a challenge that the client can follow', async () => {
    await using registry = await tokenRegistry();
    await using proxy = await startProxy(named(registry));
    const wrong = await ask(proxy.port, TAGS, { headers: { authorization: basic('jane:wrong') } });
    expect([wrong.status, wrong.headers['www-authenticate']]).toEqual([401, expect.stringContaining('/_d7y/token')]);
    proxy.engine.task = () => {
      throw new OriginStatusError('http://x', 401, { 'www-authenticate': 'Bearer realm="https://elsewhere.test"' });
    };
    const blob = await ask(proxy.port, BLOB);
    expect([blob.status, blob.headers['www-authenticate']]).toEqual([401, expect.stringContaining('/_d7y/token')]);
  });

  it('asks the realm once for all who come at once, and again when it is time', async () => {
    await using registry = await tokenRegistry();
    await using proxy = await startProxy(named(registry));
    await Promise.all(Array.from({ length: 20 }, () => ask(proxy.port, TAGS)));
    expect(registry.requests.filter(({ url }) => url.startsWith('/token'))).toHaveLength(1);
  });

  it('does not take tokens of another process, or anything else that is not one', async () => {
    await using proxy = await startProxy();
    const foreign = new SealedCredentials(Date.now).seal(basic('jane:pw'));
    for (const token of [foreign, 'd7y.', 'd7y.AAAA', `d7y.${'A'.repeat(5000)}`]) {
      const answer = await ask(proxy.port, TAGS, { headers: { authorization: `Bearer ${token}` } });
      expect([answer.status, answer.headers['x-dragonfly-error-type']]).toEqual([401, 'proxy']);
      expect(answer.headers['www-authenticate']).toContain('/_d7y/token');
    }
  });

  it('gives no token to POST, and none for what is no Host', async () => {
    await using registry = await FakeRegistry.start((_, response) => response.end('base'));
    await using proxy = await startProxy({ mirrorAddr: `http://${registry.authority}` });
    expect((await ask(proxy.port, '/_d7y/token', { method: 'POST' })).status).toBe(404);
    expect((await ask(proxy.port, '/v2/', { headers: { host: 'a"b' } })).body.toString()).toBe('base');
  });

  it('leaves pinned mirrors and named registries their own challenge', async () => {
    await using registry = await tokenRegistry();
    const mirrorAddr = `http://${registry.authority}`;
    await using pinned = await startProxy({ dynamic: false, mirrorAddr });
    expect((await ask(pinned.port, '/v2/')).headers['www-authenticate']).toContain(`${registry.authority}/token`);
    await using proxy = await startProxy({ mirrorAddr });
    const byName = await ask(proxy.port, `/v2/org/secret/tags/list?ns=${registry.authority}`);
    expect(byName.headers['www-authenticate']).toContain(`${registry.authority}/token`);
  });
});

describe('SealedCredentials', () => {
  it('opens what it sealed, for an hour', () => {
    let now = 1_000_000;
    const sealed = new SealedCredentials(() => now);
    const token = `Bearer ${sealed.seal(basic('a:b'))}`;
    expect(sealed.open(token)?.basic?.reveal()).toBe(basic('a:b'));
    expect(sealed.open(`Bearer ${sealed.seal(undefined)}`)).toEqual({ basic: undefined });
    expect(token).not.toContain(basic('a:b').slice(6, 10));
    now += 3_600_000;
    expect(sealed.open(token)).toBeUndefined();
    expect(sealed.seal('x'.repeat(9000))).toBeUndefined();
  });
});

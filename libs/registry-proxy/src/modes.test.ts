import { Secret, UpstreamGuard } from '@d7y/service-kit';
import { describe, expect, it } from '@jest/globals';
import { ask, BLOB_RULE, FakeRegistry, startProxy } from './_fakes.ts';
import type { RegistryPolicy } from './config.ts';

const DIGEST = `sha256:${'b'.repeat(64)}`;
const named = (registry: FakeRegistry) =>
  new Map<string, RegistryPolicy>([['registry.test', { base: `http://${registry.authority}` }]]);

describe('forward mode', () => {
  it('carries a request for a URL as it is, ns included, without what belongs to the hop', async () => {
    await using registry = await FakeRegistry.start((_, response) => response.end('file'));
    await using proxy = await startProxy();
    const answer = await ask(proxy.port, `http://${registry.authority}/a/b?ns=x&c=%2f`, {
      headers: { host: 'other.test', 'proxy-connection': 'keep-alive', authorization: 'Bearer own' },
    });
    expect([answer.status, answer.body.toString()]).toEqual([200, 'file']);
    expect(registry.requests[0]).toMatchObject({
      url: '/a/b?ns=x&c=%2f',
      headers: { host: registry.authority, authorization: 'Bearer own' },
    });
    expect(registry.requests[0]?.headers).not.toHaveProperty('proxy-connection');
    expect(proxy.logs[0]?.fields).toMatchObject({ mode: 'forward', from: 'direct' });
  });

  it('goes where the configuration says a registry of that name is', async () => {
    await using registry = await FakeRegistry.start((_, response) => response.end('file'));
    await using proxy = await startProxy({ registries: named(registry) });
    expect((await ask(proxy.port, 'http://registry.test/v2/x?a=1')).body.toString()).toBe('file');
    expect(registry.requests[0]?.url).toBe('/v2/x?a=1');
  });

  it('takes blobs through the swarm, and names no other registry than the URL does', async () => {
    await using proxy = await startProxy();
    const headers = { 'x-dragonfly-registry': 'http://evil.test' };
    const answer = await ask(proxy.port, `http://registry.test:5000/v2/app/blobs/${DIGEST}`, { headers });
    expect(answer.body.toString()).toBe('hello, swarm');
    expect(proxy.engine.requests[0]?.url).toBe(`http://registry.test:5000/v2/app/blobs/${DIGEST}`);
  });
});

describe('upstreams', () => {
  const refused = async (path: string, guard = new UpstreamGuard(), headers = {}) => {
    await using proxy = await startProxy({}, [BLOB_RULE], { guard });
    const answer = await ask(proxy.port, path, { headers });
    expect(proxy.engine.requests).toHaveLength(0);
    return [answer.status, answer.headers['x-dragonfly-error-type']];
  };

  it.each([
    ['/v2/?ns=169.254.169.254', {}],
    ['/v2/?ns=http://2852039166', {}],
    ['/v2/?ns=http://0', {}],
    ['http://[::ffff:169.254.169.254]/latest/meta-data', {}],
    ['http://metadata.google.internal/computeMetadata', {}],
    ['/v2/169.254.169.254/app/manifests/v1', {}],
    ['/v2/', { 'x-dragonfly-registry': 'http://169.254.169.254' }],
    [`/v2/app/blobs/${DIGEST}?ns=169.254.169.254`, {}],
  ])('weakness 11: %s is refused in every mode', async (path, headers) => {
    expect(await refused(path, undefined, headers)).toEqual([403, 'proxy']);
  });

  it('weakness 11: only upstreams that are allowed can be named, and what is denied cannot', async () => {
    const guard = new UpstreamGuard({ allow: ['*.test'], deny: ['evil.test'] });
    expect(await refused('/v2/?ns=ghcr.io', guard)).toEqual([403, 'proxy']);
    expect(await refused('http://evil.test/', guard)).toEqual([403, 'proxy']);
  });

  it('weakness 11: a name is judged by the address that it has when it is connected to', async () => {
    const guard = new UpstreamGuard({ refusePrivate: true });
    await using registry = await FakeRegistry.start((_, response) => response.end('secret'));
    expect(await refused(`http://localhost:${registry.port}/x`, guard)).toEqual([403, 'proxy']);
    expect(registry.requests).toHaveLength(0);
  });

  it('lets the configured registry be reached, whatever may be named', async () => {
    await using registry = await FakeRegistry.start((_, response) => response.end('ok'));
    const guard = new UpstreamGuard({ allow: ['nothing.test'] });
    await using proxy = await startProxy({ mirrorAddr: `http://${registry.authority}` }, [BLOB_RULE], { guard });
    expect((await ask(proxy.port, '/v2/app/manifests/v1')).body.toString()).toBe('ok');
  });
});

describe('admission', () => {
  const credentials = { username: 'node', password: new Secret('s3cret') };
  const authorization = `Basic ${Buffer.from('node:s3cret').toString('base64')}`;

  it('weakness 1: wrong proxy credentials are refused, right ones are never forwarded or logged', async () => {
    await using registry = await FakeRegistry.start((_, response) => response.end('ok'));
    await using proxy = await startProxy({ mirrorAddr: `http://${registry.authority}` }, [BLOB_RULE], { credentials });
    const forward = `http://${registry.authority}/x`;
    for (const value of ['wrong', 'Basic d3Jvbmc6d3Jvbmc=', `Bearer ${authorization}`]) {
      const answer = await ask(proxy.port, forward, { headers: { 'proxy-authorization': value } });
      expect(answer.status).toBe(407);
      expect(answer.headers['proxy-authenticate']).toMatch(/^Basic realm=/);
      expect(answer.headers['x-dragonfly-error-type']).toBe('proxy');
    }
    const mirror = await ask(proxy.port, '/v2/app/manifests/v1');
    expect([mirror.status, mirror.headers['www-authenticate']]).toEqual([401, expect.stringMatching(/^Basic realm=/)]);
    expect(registry.requests).toHaveLength(0);

    const own = { authorization: 'Bearer registry' };
    await ask(proxy.port, forward, { headers: { 'proxy-authorization': authorization, ...own } });
    await ask(proxy.port, '/v2/app/manifests/v1', { headers: { 'proxy-authorization': authorization, ...own } });
    await ask(proxy.port, '/v2/app/manifests/v1', { headers: { authorization } });
    expect(registry.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer registry',
      'Bearer registry',
      undefined,
    ]);
    expect(JSON.stringify([registry.requests, proxy.logs])).not.toContain(authorization.slice(6));
  });

  it('answers 429 to more requests than are allowed in a second', async () => {
    await using registry = await FakeRegistry.start((_, response) => response.end('ok'));
    await using proxy = await startProxy({ mirrorAddr: `http://${registry.authority}`, requestsPerSec: 2 });
    const answers = [];
    for (let count = 0; count < 3; count++) answers.push(await ask(proxy.port, '/v2/app/manifests/v1'));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(answers[2]?.headers).toMatchObject({ 'retry-after': '1', 'x-dragonfly-error-type': 'proxy' });
  });

  it('does not go round in circles', async () => {
    await using proxy = await startProxy();
    const own = `127.0.0.1:${proxy.port}`;
    const paths = [`/v2/${own}/${own}/x/tags/list`, `/v2/?ns=localhost:${proxy.port}`, `http://${own}/v2/x`];
    for (const path of paths) {
      const answer = await ask(proxy.port, path, { headers: { host: 'proxy.test' } });
      expect([answer.status, answer.headers['x-dragonfly-error-type']]).toEqual([508, 'proxy']);
    }
  });

  it('says of what is no HTTP that it is none', async () => {
    await using proxy = await startProxy();
    const { connect } = await import('node:net');
    const socket = connect(proxy.port, '127.0.0.1');
    socket.end('nonsense\r\n\r\n');
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*x-dragonfly-error-type: proxy/i);
  });
});

describe('path prefix mode', () => {
  it('finds the registry in the path and tells the client places that it can go to', async () => {
    await using registry = await FakeRegistry.start((request, response) => {
      const { authority } = registry;
      const headers = request.method === 'POST' ? { location: `http://${authority}/v2/app/blobs/uploads/1?s=2` } : {};
      const link = '</v2/app/tags/list?last=b&n=2>; rel="next"';
      response.writeHead(request.method === 'POST' ? 202 : 200, { ...headers, link }).end('ok');
    });
    await using proxy = await startProxy({ registries: named(registry) });
    const tags = await ask(proxy.port, '/v2/registry.test/app/tags/list?n=2');
    expect(tags.headers.link).toBe('</v2/registry.test/app/tags/list?last=b&n=2>; rel="next"');
    const upload = await ask(proxy.port, '/v2/registry.test/app/blobs/uploads/?mount=x&from=registry.test%2Fother', {
      method: 'POST',
    });
    expect([upload.status, upload.headers.location]).toEqual([202, '/v2/registry.test/app/blobs/uploads/1?s=2']);
    expect(registry.requests.map(({ url }) => url)).toEqual([
      '/v2/', // what the registry wants of callers
      '/v2/app/tags/list?n=2',
      '/v2/app/blobs/uploads/?mount=x&from=other',
    ]);
    expect(proxy.logs[0]?.fields).toMatchObject({ mode: 'prefix' });
  });

  it('takes blobs through the swarm under the name that they have in every mode', async () => {
    await using proxy = await startProxy();
    await ask(proxy.port, `/v2/docker.io/nginx/blobs/${DIGEST}`);
    await ask(proxy.port, `/v2/ghcr.io/org/app/blobs/${DIGEST}`);
    expect(proxy.engine.requests.map(({ url }) => url)).toEqual([
      `https://registry-1.docker.io/v2/library/nginx/blobs/${DIGEST}`,
      `https://ghcr.io/v2/org/app/blobs/${DIGEST}`,
    ]);
  });
});

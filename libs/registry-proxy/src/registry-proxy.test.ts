import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { createHash } from 'node:crypto';
import { NoSpaceError, OriginStatusError, OriginUnreachableError } from '@d7y/peer-engine';
import { describe, expect, it } from '@jest/globals';
import { ask, BLOB_RULE, FakeRegistry, startProxy, TASK_ID, until } from './_fakes.ts';

const DIGEST = `sha256:${'b'.repeat(64)}`;
const BLOB = `/v2/library/app/blobs/${DIGEST}`;

describe('a blob through the engine', () => {
  it('answers with length, digest, task id and the headers of the origin', async () => {
    await using proxy = await startProxy();
    proxy.engine.task = { responseHeaders: { 'content-type': 'application/gzip', etag: '"x"', connection: 'close' } };
    const answer = await ask(proxy.port, `${BLOB}?ns=ghcr.io`);
    expect(answer.status).toBe(200);
    expect(answer.body.toString()).toBe('hello, swarm');
    expect(answer.headers).toMatchObject({
      'content-length': '12',
      'content-type': 'application/gzip',
      etag: '"x"',
      'accept-ranges': 'bytes',
      'docker-content-digest': DIGEST,
      'x-dragonfly-task-id': TASK_ID,
    });
    expect(answer.headers['x-dragonfly-task-download-finished']).toBeUndefined();
    expect(proxy.engine.disposed).toBe(1);
  });

  it('asks the engine for the upstream URL without ns, as an ordinary request of a caller without credentials', async () => {
    await using proxy = await startProxy();
    await ask(proxy.port, `${BLOB}?ns=ghcr.io`, {
      headers: { 'user-agent': 'containerd/1.6', 'accept-encoding': 'gzip' },
    });
    expect(proxy.engine.requests[0]).toMatchObject({
      url: `https://ghcr.io${BLOB}`,
      priority: 6,
      credentials: {},
      filteredQueryParams: BLOB_RULE.filteredQueryParams,
      needBackToSource: false,
    });
    // What the origin must not do differently for different callers is left out.
    expect(proxy.engine.requests[0]?.headers).toEqual({ 'user-agent': 'containerd/1.6' });
    expect(proxy.origin.probes).toHaveLength(0);
  });

  it('passes the wishes of X-Dragonfly headers on', async () => {
    await using proxy = await startProxy();
    await ask(proxy.port, BLOB, {
      headers: {
        'x-dragonfly-registry': 'http://registry.test:5000',
        'x-dragonfly-tag': 't',
        'x-dragonfly-application': 'app',
        'x-dragonfly-priority': '2',
        'x-dragonfly-filtered-query-params': 'a, b',
        'x-dragonfly-piece-length': '8MiB',
        'x-dragonfly-content-for-calculating-task-id': 'c',
        'x-dragonfly-enable-task-id-based-blob-digest': 'true',
      },
    });
    expect(proxy.engine.requests[0]).toMatchObject({
      url: `http://registry.test:5000${BLOB}`,
      tag: 't',
      application: 'app',
      priority: 2,
      filteredQueryParams: ['a', 'b'],
      requestedPieceLength: 8 * 2 ** 20,
      contentForCalculatingTaskId: 'c',
      enableTaskIdBasedBlobDigest: true,
      headers: {},
    });
  });

  it('says when the task was complete before', async () => {
    await using proxy = await startProxy();
    proxy.engine.task = { fromCache: true, traffic: { backToSource: 0, remotePeer: 0, localPeer: 12 } };
    const answer = await ask(proxy.port, BLOB);
    expect(answer.headers['x-dragonfly-task-download-finished']).toBe('true');
    expect(proxy.logs[0]?.fields).toMatchObject({ status: 200, from: 'local', bytes: 12, taskId: TASK_ID });
  });

  it('sends content of unknown length in chunks, and nothing for empty content', async () => {
    await using proxy = await startProxy();
    proxy.engine.task = { hideLength: true };
    const chunked = await ask(proxy.port, BLOB);
    expect(chunked.headers['content-length']).toBeUndefined();
    expect(chunked.body.toString()).toBe('hello, swarm');
    proxy.engine.task = { content: Buffer.alloc(0) };
    const empty = await ask(proxy.port, BLOB);
    expect([empty.status, empty.headers['content-length'], empty.body.length]).toEqual([200, '0', 0]);
  });

  it('carries much content unchanged', async () => {
    await using proxy = await startProxy();
    const content = Buffer.alloc(9 * 2 ** 20, 'large');
    proxy.engine.task = { content, chunkBytes: 300_001 };
    const { body } = await ask(proxy.port, BLOB);
    const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
    expect(hash(body)).toBe(hash(content));
    expect(proxy.metrics).toMatchObject({ received: 1, viaDfdaemon: 1, failed: 0, bytes: content.length });
  });

  const traffic = { backToSource: 0, remotePeer: 0, localPeer: 0 };
  it.each([
    ['local', 'complete here', { fromCache: true, traffic }],
    ['local', 'what is asked for is here', { traffic: { ...traffic, localPeer: 12 } }],
    ['remote', 'pieces from 1 peer', { traffic: { ...traffic, remotePeer: 12, parents: 1 } }],
    [
      'remote',
      'pieces from 3 peers, some from the origin',
      { traffic: { backToSource: 1, remotePeer: 11, localPeer: 0, parents: 3 } },
    ],
    ['source', 'no peer gave any of it', { traffic: { ...traffic, backToSource: 12 } }],
  ])('weakness 45: says in one line at info where the bytes came from and why: %s, %s', async (from, why, task) => {
    await using proxy = await startProxy();
    proxy.engine.task = task;
    await ask(proxy.port, BLOB);
    expect(proxy.logs).toMatchObject([
      { level: 'info', message: 'request', fields: { status: 200, from, why, taskId: TASK_ID } },
    ]);
  });

  it('says of every request why it went where it went, refused ones too', async () => {
    await using proxy = await startProxy();
    await ask(proxy.port, '/v2/', { headers: { 'x-dragonfly-registry': 'ftp://x' } });
    await ask(proxy.port, BLOB, { method: 'HEAD' });
    expect(proxy.logs.map(({ fields }) => [fields['from'], fields['why']])).toEqual([
      ['direct', 'not served'],
      ['direct', 'not GET'],
    ]);
  });
});

describe('what is no blob', () => {
  it('passes manifests through with query and headers, but nothing of ours', async () => {
    await using registry = await FakeRegistry.start((_, response) => {
      response.writeHead(200, {
        'docker-content-digest': DIGEST,
        'content-type': 'application/vnd.oci.image.index.v1+json',
      });
      response.end('{}');
    });
    await using proxy = await startProxy();
    const path = `/v2/library/app/manifests/v1?a=%2f&ns=${encodeURIComponent(registry.authority)}&b`;
    const answer = await ask(proxy.port, path, {
      headers: {
        authorization: 'Bearer t',
        accept: 'x/y',
        'x-dragonfly-tag': 't',
        'x-hop': '1',
        connection: 'close, x-hop',
      },
    });
    expect(answer.status).toBe(200);
    expect(answer.headers['docker-content-digest']).toBe(DIGEST);
    expect(registry.requests[0]).toMatchObject({
      url: '/v2/library/app/manifests/v1?a=%2f&b',
      headers: { authorization: 'Bearer t', accept: 'x/y', host: registry.authority },
    });
    expect(registry.requests[0]?.headers).not.toHaveProperty('x-dragonfly-tag');
    expect(registry.requests[0]?.headers).not.toHaveProperty('x-hop');
    expect(proxy.logs[0]?.fields).toMatchObject({ from: 'direct', status: 200, bytes: 2 });
  });

  it('passes GET /v2/ through, and HEAD with the length of what it describes', async () => {
    await using registry = await FakeRegistry.start((_, response) =>
      response.writeHead(200, { 'content-length': '42' }).end(),
    );
    await using proxy = await startProxy({ mirrorAddr: `http://${registry.authority}` });
    const answer = await ask(proxy.port, BLOB, { method: 'HEAD' });
    expect([answer.status, answer.headers['content-length']]).toEqual([200, '42']);
    expect(registry.requests[0]).toMatchObject({ method: 'HEAD', url: BLOB });
    expect(proxy.engine.requests).toHaveLength(0);
  });

  it('leaves challenges, redirects and pages as they are', async () => {
    await using registry = await FakeRegistry.start((request, response) => {
      if (request.url === '/v2/')
        response.writeHead(401, { 'www-authenticate': 'Bearer realm="https://auth.test/t"' }).end('no');
      else response.writeHead(307, { location: 'https://cdn.test/x', link: '</v2/_catalog?n=1>; rel="next"' }).end();
    });
    await using proxy = await startProxy({ mirrorAddr: `http://${registry.authority}` });
    const challenge = await ask(proxy.port, `/v2/?ns=${registry.authority}`);
    expect(challenge.headers['www-authenticate']).toBe('Bearer realm="https://auth.test/t"');
    expect([challenge.status, challenge.body.toString()]).toEqual([401, 'no']);
    const moved = await ask(proxy.port, '/v2/app/tags/list');
    expect(moved.status).toBe(307);
    expect(moved.headers).toMatchObject({ location: 'https://cdn.test/x', link: '</v2/_catalog?n=1>; rel="next"' });
  });

  it('carries a request body up', async () => {
    let received = 0;
    await using registry = await FakeRegistry.start((request, response) => {
      request.on('data', (chunk: Buffer) => (received += chunk.length));
      request.on('end', () => response.writeHead(201).end());
    });
    await using proxy = await startProxy({ mirrorAddr: `http://${registry.authority}` });
    const body = Buffer.alloc(3 * 2 ** 20, 1);
    const answer = await ask(proxy.port, '/v2/app/blobs/uploads/1', { method: 'PUT', body });
    expect([answer.status, received]).toEqual([201, body.length]);
  });

  it('cuts the client off when the upstream breaks off in mid-body', async () => {
    await using registry = await FakeRegistry.start((_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('part', () => response.destroy());
    });
    await using proxy = await startProxy({ mirrorAddr: `http://${registry.authority}` });
    await expect(ask(proxy.port, '/v2/app/manifests/v1')).rejects.toThrow();
  });

  it('answers 502 when the upstream cannot be reached', async () => {
    await using proxy = await startProxy({ mirrorAddr: 'http://127.0.0.1:1' });
    const answer = await ask(proxy.port, '/v2/app/manifests/v1');
    expect(answer.status).toBe(502);
    expect(answer.headers['x-dragonfly-error-type']).toBe('proxy');
  });

  it('answers 502 when the upstream accepts and says nothing', async () => {
    await using registry = await FakeRegistry.start(() => undefined);
    await using proxy = await startProxy({ mirrorAddr: `http://${registry.authority}`, upstreamHeaderTimeoutMs: 50 });
    expect((await ask(proxy.port, '/v2/app/manifests/v1')).status).toBe(502);
  });

  it('weakness 3: nobody has files written through the proxy', async () => {
    await using proxy = await startProxy();
    for (const header of ['x-dragonfly-output-path', 'x-dragonfly-force-hard-link']) {
      const answer = await ask(proxy.port, BLOB, { headers: { [header]: '/etc/cron.d/x' } });
      expect([answer.status, answer.headers['x-dragonfly-error-type']]).toEqual([403, 'proxy']);
    }
    expect(proxy.engine.requests).toHaveLength(0);
  });

  it('refuses what a mirror cannot do, with a reason', async () => {
    await using proxy = await startProxy();
    expect((await ask(proxy.port, 'ftp://other.test/file')).status).toBe(400);
    expect((await ask(proxy.port, 'http://user:pass@other.test/file')).status).toBe(400);
    expect((await ask(proxy.port, '/v2/?ns=a/b')).status).toBe(400);
    expect((await ask(proxy.port, BLOB, { headers: { 'x-dragonfly-piece-length': '1MiB' } })).status).toBe(400);
    expect(proxy.engine.requests).toHaveLength(0);
  });
});

describe('rules', () => {
  it('takes the swarm without a rule when the caller asks for it', async () => {
    await using proxy = await startProxy();
    await ask(proxy.port, '/file.bin?ns=http://files.test', { headers: { 'x-dragonfly-use-p2p': 'true' } });
    expect(proxy.engine.requests[0]?.url).toBe('http://files.test/file.bin');
  });

  it('lets the first matching rule redirect, change the scheme, or pass through', async () => {
    await using registry = await FakeRegistry.start((_, response) => response.end('direct'));
    const rules = [
      { ...BLOB_RULE, regex: /\/private\//, direct: true },
      { ...BLOB_RULE, useTls: true, redirect: 'mirror.test:5443' },
    ];
    await using proxy = await startProxy({ mirrorAddr: `http://${registry.authority}` }, rules);
    await ask(proxy.port, BLOB);
    expect(proxy.engine.requests[0]?.url).toBe(`https://mirror.test:5443${BLOB}`);
    const direct = await ask(proxy.port, `/v2/private/app/blobs/${DIGEST}`);
    expect(direct.body.toString()).toBe('direct');
  });
});

describe('trouble', () => {
  it('passes the blob through when the engine fails before the first byte', async () => {
    await using registry = await FakeRegistry.start((_, response) => response.end('from the registry'));
    await using proxy = await startProxy({ mirrorAddr: `http://${registry.authority}` });
    proxy.engine.task = { firstByte: () => Promise.reject(new NoSpaceError('/disk', 1, 0)) };
    const answer = await ask(proxy.port, BLOB);
    expect([answer.status, answer.body.toString()]).toEqual([200, 'from the registry']);
    expect(proxy.logs[0]?.fields['why']).toMatch(/^fallback: no space/);
    expect(proxy.engine.disposed).toBe(1);
  });

  it('answers 502 when neither engine nor upstream gives anything', async () => {
    await using proxy = await startProxy({ mirrorAddr: 'http://127.0.0.1:1' });
    proxy.engine.task = () => {
      throw new OriginUnreachableError('http://127.0.0.1:1/x?sig=secret', 'refused');
    };
    const answer = await ask(proxy.port, BLOB);
    expect(answer.status).toBe(502);
    expect(answer.headers['x-dragonfly-error-type']).toBe('proxy');
  });

  it('answers 500 instead of asking the origin when that is forbidden', async () => {
    await using proxy = await startProxy({ disableBackToSource: true });
    proxy.engine.task = { firstByte: () => Promise.reject(new Error('no parents')) };
    const answer = await ask(proxy.port, BLOB);
    expect([answer.status, answer.headers['x-dragonfly-error-type']]).toEqual([500, 'dfdaemon']);
  });

  it('gives the refusal of the origin as it is', async () => {
    await using proxy = await startProxy();
    for (const status of [401, 403, 404, 429]) {
      proxy.engine.task = () => {
        throw new OriginStatusError('https://ghcr.io/x', status, {
          'www-authenticate': 'Bearer realm="r"',
          'retry-after': '7',
          'content-length': '999',
        });
      };
      const answer = await ask(proxy.port, BLOB);
      expect(answer.status).toBe(status);
      expect(answer.headers).toMatchObject({
        'www-authenticate': 'Bearer realm="r"',
        'retry-after': '7',
        'x-dragonfly-error-type': 'backend',
      });
    }
  });

  it('cuts the connection when the task fails after the first byte', async () => {
    await using proxy = await startProxy();
    proxy.engine.task = { content: Buffer.alloc(1000), failAfterBytes: 500 };
    await expect(ask(proxy.port, BLOB)).rejects.toThrow();
    await until(() => proxy.logs.length === 1);
    expect(proxy.logs[0]?.level).toBe('warn');
    expect(proxy.metrics.failed).toBe(1);
  });

  it('gets what a full disk has no room for from the origin, as the same caller and from where the task broke off', async () => {
    const content = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251));
    const failure = new NoSpaceError('/var/lib/dragonfly', 500, 0);
    await using proxy = await startProxy();
    proxy.origin.content = content;
    proxy.engine.task = { content, failAfterBytes: 500, failure };
    expect((await ask(proxy.port, BLOB)).body).toEqual(content);
    proxy.engine.task = { content, failAfterBytes: 200, failure };
    const part = await ask(proxy.port, BLOB, { headers: { range: 'bytes=300-899', authorization: 'Basic b2s=' } });
    expect(part.body).toEqual(content.subarray(300, 900));
    expect(proxy.origin.fetched.map(({ range }) => range)).toEqual([
      { start: 500, length: 500 },
      { start: 500, length: 400 },
    ]);
    expect(proxy.metrics).toMatchObject({ failed: 0, bytes: 1600 });
    expect(proxy.logs[0]?.fields['why']).toMatch(/disk is full/);
  });

  it('cuts the connection when the disk is full and the origin is not to be asked', async () => {
    await using proxy = await startProxy({ disableBackToSource: true });
    proxy.origin.content = Buffer.alloc(1000);
    const failure = new NoSpaceError('/var/lib/dragonfly', 500, 0);
    proxy.engine.task = { content: Buffer.alloc(1000), failAfterBytes: 500, failure };
    await expect(ask(proxy.port, BLOB)).rejects.toThrow();
    expect(proxy.origin.fetched).toEqual([]);
  });

  it('cuts the connection when a task ends early, whether or not its length was told', async () => {
    await using proxy = await startProxy();
    proxy.engine.task = { content: Buffer.alloc(1000), endAfterBytes: 500 };
    await expect(ask(proxy.port, BLOB)).rejects.toThrow();
    proxy.engine.task = { content: Buffer.alloc(1000), hideLength: true, failAfterBytes: 500 };
    await expect(ask(proxy.port, BLOB)).rejects.toThrow();
  });

  it('leaves the task when the client goes before the first byte', async () => {
    await using proxy = await startProxy();
    proxy.engine.task = { firstByte: () => new Promise(() => undefined) };
    const request = httpRequest({ host: '127.0.0.1', port: proxy.port, path: BLOB, agent: false });
    request.on('error', () => undefined);
    request.end();
    await until(() => proxy.engine.requests.length === 1);
    request.destroy();
    await until(() => proxy.engine.disposed === 1);
    await until(() => proxy.logs.length === 1);
    expect(proxy.logs[0]).toMatchObject({ level: 'info', fields: { status: 499 } });
  });

  it('leaves the task when the client goes in mid-body, having taken no more than the socket took', async () => {
    await using proxy = await startProxy();
    proxy.engine.task = { content: Buffer.alloc(64 * 2 ** 20), chunkBytes: 2 ** 18 };
    const socket = connect(proxy.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(`GET ${BLOB} HTTP/1.1\r\nHost: x\r\n\r\n`);
    socket.once('data', () => socket.pause());
    await until(() => proxy.engine.deliveredBytes > 0);
    // Nobody reads: what the engine could hand over is bounded by the buffers of the two sockets, not by the content.
    let delivered = -1;
    while (delivered !== proxy.engine.deliveredBytes) {
      delivered = proxy.engine.deliveredBytes;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(delivered).toBeLessThan(32 * 2 ** 20);
    socket.destroy();
    await until(() => proxy.engine.disposed === 1);
  });
});

describe('draining', () => {
  it('lets a request under way finish, and closes what is idle', async () => {
    const proxy = await startProxy();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    proxy.engine.task = { firstByte: () => released };
    const answer = ask(proxy.port, BLOB);
    await until(() => proxy.engine.requests.length === 1);
    const stopped = proxy[Symbol.asyncDispose]();
    release();
    expect((await answer).body.toString()).toBe('hello, swarm');
    await stopped;
  });

  it('cuts off what does not finish in time', async () => {
    const proxy = await startProxy({}, [BLOB_RULE], { drainMs: 20 });
    proxy.engine.task = { firstByte: () => new Promise(() => undefined) };
    const answer = ask(proxy.port, BLOB);
    answer.catch(() => undefined);
    await until(() => proxy.engine.requests.length === 1);
    await proxy[Symbol.asyncDispose]();
    await expect(answer).rejects.toThrow();
  });
});

describe('private content', () => {
  const authorization = { authorization: 'Basic dXNlcjpwYXNz' };

  it('keeps the credentials to itself where the origin serves anybody, and asks once per repository', async () => {
    await using proxy = await startProxy();
    await ask(proxy.port, BLOB, { headers: authorization });
    await ask(proxy.port, BLOB.replace(/b{64}/, 'c'.repeat(64)), { headers: authorization });
    expect(proxy.origin.probes).toHaveLength(1);
    expect(proxy.origin.probes[0]?.credentials).toEqual({});
    expect(proxy.engine.requests.map(({ credentials, priority }) => [credentials, priority])).toEqual([
      [{}, 6],
      [{}, 6],
    ]);
  });

  it('goes to the origin itself with the credentials of an accepted caller', async () => {
    await using proxy = await startProxy();
    proxy.origin.answer = ({ credentials }) => ('authorization' in credentials ? 200 : 401);
    await ask(proxy.port, BLOB, { headers: authorization });
    expect(proxy.engine.requests[0]?.priority).toBe(3);
    expect(proxy.engine.requests[0]?.credentials['authorization']?.reveal()).toBe(authorization.authorization);
    expect(proxy.engine.requests[0]?.headers).not.toHaveProperty('authorization');
  });

  it('weakness 9: gives nothing from the cache to a caller whom the origin refuses, and logs no secret', async () => {
    await using proxy = await startProxy();
    proxy.origin.answer = () => 403;
    proxy.engine.task = { fromCache: true };
    const answer = await ask(proxy.port, `${BLOB}?X-Amz-Signature=planted`, {
      headers: { authorization: 'Bearer planted' },
    });
    expect([answer.status, answer.headers['www-authenticate']]).toEqual([403, 'Basic realm="fake"']);
    expect(proxy.engine.requests).toHaveLength(0);
    expect(JSON.stringify(proxy.logs)).not.toContain('planted');
    expect(answer.body.toString()).not.toContain('planted');
  });

  it('takes a signed URL for the proof of its caller', async () => {
    await using proxy = await startProxy();
    await ask(proxy.port, `${BLOB}?X-Amz-Signature=s`);
    expect(proxy.engine.requests[0]).toMatchObject({ priority: 3, credentials: {} });
    expect(proxy.engine.requests[0]?.url).toContain('X-Amz-Signature=s');
    expect(proxy.origin.probes).toHaveLength(1);
  });
});

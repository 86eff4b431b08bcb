import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { toContentRangeHeader } from '@d7y/piece';
import { Secret } from '@d7y/service-kit';
import type { OriginContent } from '@d7y/peer-engine/testing';
import { active, anonymous, collect, describeOrigin, pattern } from '@d7y/peer-engine/conformance';
import { serveContent, startServer, testClient } from './_origin-server.ts';

const bytes = pattern(1, 300_000);
const whole = Buffer.from(bytes);

describeOrigin('OriginClient', async () => {
  const contents = new Map<string, OriginContent>();
  const server = await startServer((request, response) => {
    const content = contents.get(request.url ?? '');
    if (content === undefined) response.writeHead(404).end('nothing here');
    else serveContent(content, request, response);
  });
  const origin = testClient();
  return {
    origin,
    put: (content) => {
      const path = `/${contents.size}`;
      contents.set(path, content);
      return server.url + path;
    },
    missingUrl: `${server.url}/missing`,
    [Symbol.asyncDispose]: async () => {
      await origin[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
});

describe('a probe', () => {
  it('asks for one byte, as it is stored', async () => {
    await using server = await startServer((request, response) => serveContent({ bytes }, request, response));
    await using client = testClient({ userAgent: 'dragonfly/1' });
    await client.probe(anonymous(server.url), active());
    expect(server.requests[0]?.headers).toMatchObject({
      range: 'bytes=0-0',
      'accept-encoding': 'identity',
      'user-agent': 'dragonfly/1',
    });
  });

  it('does not wait for bodies that others are reading', async () => {
    await using server = await startServer((request, response) => serveContent({ bytes }, request, response));
    await using client = testClient({ maxConnectionsPerOrigin: 1 });
    const body = await client.fetch(anonymous(server.url), undefined, active());
    // Not a byte of it is taken yet: its connection is busy.
    const { contentLength } = await client.probe(anonymous(server.url), active());
    expect(contentLength).toBe(bytes.length);
    expect((await collect(body)).equals(whole)).toBe(true);
  });

  it('does not read a body it did not want', async () => {
    let sent = 0;
    const closed = Promise.withResolvers<void>();
    await using server = await startServer((_request, response) => {
      response.writeHead(200, { 'content-length': String(2 ** 30) });
      response.on('close', closed.resolve);
      const more = () => {
        while (!response.destroyed && sent < 2 ** 30) {
          sent += 65_536;
          if (!response.write(Buffer.alloc(65_536))) return void response.once('drain', more);
        }
      };
      more();
    });
    await using client = testClient();
    const probe = await client.probe(anonymous(server.url), active());
    expect(probe).toMatchObject({ contentLength: 2 ** 30, acceptsRanges: false });
    await closed.promise;
    expect(sent).toBeLessThan(64 * 2 ** 20);
  });

  it('does not believe in ranges because of Accept-Ranges', async () => {
    const content = { bytes, acceptsRanges: false, headers: { 'accept-ranges': 'bytes' } };
    await using server = await startServer((request, response) => serveContent(content, request, response));
    await using client = testClient();
    expect((await client.probe(anonymous(server.url), active())).acceptsRanges).toBe(false);
  });

  it('asks by HEAD for a length that the body does not tell', async () => {
    await using server = await startServer((request, response) => {
      const tellsLength = request.method === 'HEAD';
      serveContent({ bytes, acceptsRanges: false, tellsLength }, request, response);
    });
    await using client = testClient();
    expect((await client.probe(anonymous(server.url), active())).contentLength).toBe(300_000);
    expect(server.requests.map(({ method }) => method)).toEqual(['GET', 'HEAD']);
  });

  it('weakness 19: keeps what describes the content, and nothing that was meant for one caller', async () => {
    const headers = {
      'content-type': 'application/octet-stream',
      'docker-content-digest': 'sha256:abc',
      'last-modified': 'Mon, 01 Jan 2024 00:00:00 GMT',
      'set-cookie': 'session=planted',
      'x-request-id': '17',
    };
    await using server = await startServer((request, response) => serveContent({ bytes, headers }, request, response));
    await using client = testClient();
    const { 'set-cookie': _cookie, 'x-request-id': _id, ...kept } = headers;
    expect((await client.probe(anonymous(server.url), active())).headers).toEqual(kept);
  });

  it('uses its connections again', async () => {
    await using server = await startServer((request, response) => serveContent({ bytes }, request, response));
    await using client = testClient();
    for (let n = 0; n < 5; n++) {
      await client.probe(anonymous(server.url), active());
      await client.fetch(anonymous(server.url), { start: 5, length: 100_000 }, active()).then(collect);
    }
    // The end of one answer may still be under way when the next request begins.
    expect(server.connections()).toBeLessThanOrEqual(2);
  });
});

describe('a probe of what a registry holds', () => {
  const blob = `/v2/library/app/blobs/sha256:${'a'.repeat(64)}`;
  /** A registry whose answers to HEAD are `head`'s, where it gives one. */
  const registry = (head?: (response: ServerResponse) => void, options: { acceptsRanges?: boolean } = {}) =>
    startServer((request, response) => {
      if (request.method === 'HEAD' && head !== undefined) return head(response);
      const ranges = options.acceptsRanges === false ? {} : { 'accept-ranges': 'bytes' };
      serveContent({ bytes, headers: ranges, ...options }, request, response);
    });
  const methods = ({ requests }: { requests: readonly { method?: string | undefined }[] }) =>
    requests.map(({ method }) => method);

  it.each(['/v2/library/app/manifests/latest', blob])('asks for no byte of %s', async (path) => {
    await using server = await registry();
    await using client = testClient();
    const probe = await client.probe(anonymous(server.url + path), active());
    expect(probe).toMatchObject({ contentLength: 300_000, acceptsRanges: true });
    expect(methods(server)).toEqual(['HEAD']);
  });

  it.each([403, 404, 405, 501])('goes on with GET where HEAD is answered by %i', async (status) => {
    await using server = await registry((response) => void response.writeHead(status).end());
    await using client = testClient();
    const probe = await client.probe(anonymous(server.url + blob), active());
    expect(probe).toMatchObject({ contentLength: 300_000, acceptsRanges: true });
    expect(methods(server)).toEqual(['HEAD', 'GET']);
  });

  it('goes on with GET where HEAD tells no length', async () => {
    await using server = await registry(
      (response) => void response.writeHead(200, { 'transfer-encoding': 'chunked' }).end(),
    );
    await using client = testClient();
    expect((await client.probe(anonymous(server.url + blob), active())).contentLength).toBe(300_000);
  });

  it('asks whether parts may be asked for, where HEAD leaves that open and it matters', async () => {
    const length = { 'content-length': String(64 * 2 ** 20) };
    await using server = await registry((response) => void response.writeHead(200, length).end());
    await using client = testClient();
    expect(await client.probe(anonymous(server.url + blob), active())).toMatchObject({ acceptsRanges: true });
    expect(methods(server)).toEqual(['HEAD', 'GET']);
    await using small = await registry(undefined, { acceptsRanges: false });
    expect(await client.probe(anonymous(small.url + blob), active())).toMatchObject({ acceptsRanges: false });
    expect(methods(small)).toEqual(['HEAD']);
  });

  it('takes the refusal of a caller for one', async () => {
    await using server = await registry((response) => void response.writeHead(401).end());
    await using client = testClient();
    await expect(client.probe(anonymous(server.url + blob), active())).rejects.toMatchObject({ status: 401 });
    expect(methods(server)).toEqual(['HEAD']);
  });

  it('keeps to GET where the query may be a signature for it', async () => {
    await using server = await registry();
    await using client = testClient();
    await client.probe(anonymous(`${server.url}${blob}?X-Amz-Signature=1`), active());
    expect(methods(server)).toEqual(['GET']);
  });

  it('is one for all who ask at the same time', async () => {
    await using server = await registry();
    await using client = testClient();
    await Promise.all(Array.from({ length: 64 }, () => client.probe(anonymous(server.url + blob), active())));
    expect(methods(server)).toEqual(['HEAD']);
  });
});

describe('what the origin sees of a caller', () => {
  it('weakness 19: is the caller, but not its connection, range, coding, nor anything about P2P', async () => {
    await using server = await startServer((request, response) => serveContent({ bytes }, request, response));
    await using client = testClient();
    const headers = {
      accept: 'application/vnd.oci.image.layer.v1.tar+gzip',
      'user-agent': 'containerd/1.7',
      'x-custom': 'kept',
      'Accept-Encoding': 'gzip',
      range: 'bytes=7-9',
      'if-none-match': '"1"',
      connection: 'close',
      host: 'elsewhere.test',
      'x-dragonfly-tag': 'secret-project',
    };
    await client.fetch({ ...anonymous(server.url), headers }, undefined, active()).then(collect);
    const seen = server.requests[0]?.headers ?? {};
    expect(seen).toMatchObject({
      accept: headers.accept,
      'user-agent': 'containerd/1.7',
      'x-custom': 'kept',
      'accept-encoding': 'identity',
      host: new URL(server.url).host,
      connection: 'keep-alive',
    });
    for (const name of ['range', 'if-none-match', 'x-dragonfly-tag']) expect(seen).not.toHaveProperty(name);
  });

  it('includes name and password of the URL, as Basic credentials', async () => {
    const content = { bytes, authorization: `Basic ${Buffer.from('user:p@ss').toString('base64')}` };
    await using server = await startServer((request, response) => serveContent(content, request, response));
    await using client = testClient();
    const url = server.url.replace('//', '//user:p%40ss@');
    await expect(client.probe(anonymous(url), active())).resolves.toMatchObject({ contentLength: 300_000 });
  });
});

describe('a fetch', () => {
  /** Serves ranges, but ends the connection after `cutBytes` of each body, as long as there are cuts left. */
  function cutting(cutBytes: number, cuts: number, headers: Record<string, string> = {}) {
    let left = cuts;
    return startServer((request, response) => {
      const isCut = left-- > 0;
      if (!isCut) return serveContent({ bytes, headers }, request, response);
      const start = Number(/\d+/.exec(request.headers.range ?? '0')?.[0]);
      const range = { start, length: bytes.length - start };
      response.writeHead(request.headers.range === undefined ? 200 : 206, {
        ...headers,
        'content-length': range.length,
        'content-range': toContentRangeHeader(range, bytes.length),
      });
      response.write(bytes.subarray(start, start + cutBytes), () => response.destroy());
    });
  }

  it.each([
    ['of everything', undefined],
    ['of a range', { start: 0, length: 300_000 }],
  ])('%s goes on where a connection broke, as often as that brings bytes', async (_, range) => {
    await using server = await cutting(30_000, 9, { etag: '"v1"' });
    await using client = testClient({ retry: { maxRetries: 1 } });
    expect(whole.equals(await client.fetch(anonymous(server.url), range, active()).then(collect))).toBe(true);
    const resumed = server.requests.slice(1);
    expect(resumed.length).toBe(9);
    expect(resumed.map(({ headers }) => headers['if-range'])).toEqual(resumed.map(() => '"v1"'));
    expect(resumed[0]?.headers.range).toMatch(/^bytes=30000-/);
    expect(client.waits).toEqual(resumed.map(() => 200));
  });

  it('weakness 36: gives up when attempts bring nothing any more, waiting longer each time', async () => {
    await using server = await startServer((_request, response) => void response.destroy());
    await using client = testClient();
    await expect(client.fetch(anonymous(server.url), undefined, active())).rejects.toMatchObject({
      code: 'ORIGIN_UNREACHABLE',
    });
    expect(server.requests).toHaveLength(4);
    expect(client.waits).toEqual([200, 400, 800]);
  });

  it('weakness 18: goes on with an origin without ranges by passing over what it has', async () => {
    let cuts = 1;
    await using server = await startServer((_request, response) => {
      response.writeHead(200, { 'content-length': String(bytes.length) });
      if (cuts-- > 0) response.write(bytes.subarray(0, 100_000), () => response.destroy());
      else response.end(bytes);
    });
    await using client = testClient();
    expect(whole.equals(await client.fetch(anonymous(server.url), undefined, active()).then(collect))).toBe(true);
  });

  it('never joins two versions of the content', async () => {
    let version = 0;
    await using server = await startServer((request, response) => {
      const headers = { etag: `"v${++version}"`, 'content-length': String(bytes.length) };
      if (version > 1) return serveContent({ bytes, headers: { etag: `"v${version}"` } }, request, response);
      response.writeHead(200, headers);
      response.write(bytes.subarray(0, 100_000), () => response.destroy());
    });
    await using client = testClient();
    const body = client.fetch(anonymous(server.url), undefined, active()).then(collect);
    await expect(body).rejects.toThrow('the content changed while it was read');
  });

  it.each([
    ['a tag', { etag: '"new"' }, bytes],
    ['a date', { 'last-modified': 'Tue, 02 Jan 2024 00:00:00 GMT' }, bytes],
    ['a length', {}, bytes.subarray(1)],
    ['too short a length', {}, bytes.subarray(0, 50)],
  ] as const)('reads nothing of content that is not the one pinned, by %s', async (_, headers, content) => {
    await using server = await startServer((request, response) => {
      serveContent({ bytes: content, headers }, request, response);
    });
    await using client = testClient();
    const tag = 'etag' in headers ? '"old"' : undefined;
    const pinned = { contentLength: bytes.length, etag: tag, lastModified: 'Mon, 01 Jan 2024 00:00:00 GMT' };
    const reading = client.fetch({ ...anonymous(server.url), pinned }, { start: 100, length: 100 }, active());
    await expect(reading).rejects.toMatchObject({ code: 'ORIGIN_CHANGED' });
    expect(server.requests[0]?.headers['if-range']).toBe(tag ?? pinned.lastModified);
  });

  it('reads what is pinned and has not changed, also from an origin that tells nothing of versions', async () => {
    const etag = '"same"';
    for (const headers of [{ etag }, {}]) {
      await using server = await startServer((request, response) => {
        serveContent({ bytes, headers }, request, response);
      });
      await using client = testClient();
      const pinned = { contentLength: bytes.length, etag, lastModified: undefined };
      const body = client.fetch({ ...anonymous(server.url), pinned }, { start: 100, length: 100 }, active());
      expect((await collect(await body)).equals(bytes.subarray(100, 200))).toBe(true);
    }
  });

  it.each([
    ['another range', 'bytes 0-99/300000'],
    ['a shorter range', 'bytes 100-150/300000'],
    ['a longer range', 'bytes 100-300/300000'],
    ['no range', undefined],
    ['nonsense', 'bytes of some kind'],
  ])('refuses an answer with %s', async (_, contentRange) => {
    await using server = await startServer((_request, response) => {
      response.writeHead(206, contentRange === undefined ? {} : { 'content-range': contentRange });
      response.end(bytes.subarray(100, 200));
    });
    await using client = testClient();
    const body = client.fetch(anonymous(server.url), { start: 100, length: 100 }, active());
    await expect(body).rejects.toThrow('the origin sent another range than asked for');
    expect(server.requests).toHaveLength(1);
  });

  it('breaks off a body that trickles, and resumes it', async () => {
    let slow = 1;
    await using server = await startServer((request, response) => {
      if (slow-- <= 0) return serveContent({ bytes }, request, response);
      response.writeHead(206, { 'content-length': 300_000, 'content-range': 'bytes 0-299999/300000' });
      response.write(bytes.subarray(0, 10));
      // … and never more.
    });
    await using client = testClient({ progressFloor: { minBytesPerSec: 1000, windowMs: 100 } });
    const body = await client.fetch(anonymous(server.url), { start: 0, length: 300_000 }, active());
    expect(whole.equals(await collect(body))).toBe(true);
    expect(server.requests[1]?.headers.range).toBe('bytes=10-299999');
  });

  it('does not blame the origin for a slow reader', async () => {
    const long = new Uint8Array(8 * 2 ** 20);
    await using server = await startServer((request, response) => serveContent({ bytes: long }, request, response));
    await using client = testClient({ progressFloor: { minBytesPerSec: 10 * 2 ** 20, windowMs: 50 } });
    const body = await client.fetch(anonymous(server.url), undefined, active());
    let read = 0;
    for await (const chunk of body.chunks) {
      if (read === 0) await new Promise((resolve) => setTimeout(resolve, 150));
      read += chunk.length;
    }
    expect(read).toBe(long.length);
    expect(server.requests).toHaveLength(1);
  });

  it('lets a slow reader hold back the origin', async () => {
    const total = 64 * 2 ** 20;
    let sent = 0;
    let stalled = Promise.withResolvers<void>();
    await using server = await startServer((_request, response) => {
      response.writeHead(200, { 'content-length': String(total) });
      const more = () => {
        while (sent < total) {
          sent += 65_536;
          if (response.write(Buffer.alloc(65_536))) continue;
          stalled.resolve();
          return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
    await using client = testClient();
    const body = await client.fetch(anonymous(server.url), undefined, active());
    const reader = body.chunks[Symbol.asyncIterator]();
    await reader.next();
    // Wait until the server has been able to write nothing more for a while.
    for (let before = -1; before !== sent;) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(sent).toBeLessThan(16 * 2 ** 20); // kernel buffers, and a little of ours
    stalled = Promise.withResolvers();
    let read = 0;
    for (let next = await reader.next(); !next.done; next = await reader.next()) read += next.value.length;
    expect(read).toBeGreaterThan(total - 2 ** 20);
  });

  it('hands on the buffers it got from the socket', async () => {
    await using server = await startServer((request, response) => serveContent({ bytes }, request, response));
    await using client = testClient();
    const body = await client.fetch(anonymous(server.url), undefined, active());
    for await (const chunk of body.chunks) expect(chunk.length).toBeLessThanOrEqual(65_536);
  });

  it('says what the origin does instead of answering', async () => {
    const responses: ServerResponse[] = [];
    await using server = await startServer((_request, response) => void responses.push(response));
    await using client = testClient({ headerTimeoutMs: 100, retry: { maxRetries: 0 } });
    const url = `${server.url}/blob?X-Amz-Signature=planted`;
    const failure = client.fetch(anonymous(url), undefined, active());
    await expect(failure).rejects.toThrow(`${server.url}/blob: no answer in time`);
    await expect(failure).rejects.not.toThrow('planted');
  });

  it('says that nobody listens', async () => {
    const unused = createServer().listen(0, '127.0.0.1');
    await once(unused, 'listening');
    const { port } = unused.address() as AddressInfo;
    await new Promise((resolve) => unused.close(resolve));
    await using client = testClient({ retry: { maxRetries: 1 } });
    const failure = client.probe(anonymous(`http://127.0.0.1:${port}/`), active());
    await expect(failure).rejects.toMatchObject({ code: 'ORIGIN_UNREACHABLE', message: /connection refused/ });
  });

  it('leaves the origin when its caller leaves, whatever it is doing', async () => {
    const arrived = Promise.withResolvers<ServerResponse>();
    await using server = await startServer((_request, response) => arrived.resolve(response));
    await using client = testClient();
    const caller = new AbortController();
    const body = client.fetch(anonymous(server.url), undefined, { signal: caller.signal });
    body.catch(() => undefined);
    const response = await arrived.promise;
    const closed = once(response, 'close');
    caller.abort(new Error('gone'));
    await expect(body).rejects.toThrow('gone');
    await closed;
    expect(server.requests).toHaveLength(1);
  });
});

describe('a refusal', () => {
  const later = { start: 0, length: 10 };

  it.each([
    ['seconds', '7', 7_000],
    ['a date', new Date(1_000_009_000).toUTCString(), 9_000],
    ['more than anybody waits', '3600', 60_000],
    ['nothing readable', 'soon', 200],
    ['nothing', undefined, 200],
  ])('429 with %s is waited for', async (_, retryAfter, waitMs) => {
    let refusals = 1;
    await using server = await startServer((request, response) => {
      if (refusals-- <= 0) return serveContent({ bytes }, request, response);
      response.writeHead(429, retryAfter === undefined ? {} : { 'retry-after': retryAfter }).end('too many');
    });
    await using client = testClient({ retry: { clock: () => 1_000_000_000 } });
    expect(await client.fetch(anonymous(server.url), later, active()).then(collect)).toHaveLength(10);
    expect(client.waits).toEqual([waitMs]);
  });

  it('is passed on when waiting does not help', async () => {
    await using server = await startServer((_request, response) => {
      response.writeHead(503, { 'retry-after': '1' }).end();
    });
    await using client = testClient();
    const failure = client.probe(anonymous(server.url), active());
    await expect(failure).rejects.toMatchObject({ status: 503, retryable: true, headers: { 'retry-after': '1' } });
    expect(client.waits).toEqual([1000, 1000, 1000]);
  });

  it('is passed on at once when it is final', async () => {
    await using server = await startServer((_request, response) => {
      response.writeHead(403, { 'content-type': 'application/json', 'set-cookie': 'a=b' }).end('{}');
    });
    await using client = testClient();
    const failure = client.fetch(anonymous(server.url), later, active());
    await expect(failure).rejects.toMatchObject({ status: 403, headers: { 'content-type': 'application/json' } });
    await expect(failure).rejects.not.toHaveProperty('headers.set-cookie');
    expect(server.requests).toHaveLength(1);
  });

  it('can be waited for no longer than the caller waits', async () => {
    await using server = await startServer((_request, response) => {
      response.writeHead(429, { 'retry-after': '30' }).end();
    });
    const caller = new AbortController();
    await using client = testClient({
      retry: {
        wait: (_delayMs, { signal }) => {
          caller.abort(new Error('gone'));
          signal.throwIfAborted();
          return Promise.resolve();
        },
      },
    });
    await expect(client.probe(anonymous(server.url), { signal: caller.signal })).rejects.toThrow('gone');
  });
});

describe('a redirect', () => {
  const credentials = { authorization: new Secret('Bearer planted'), cookie: new Secret('session=planted') };

  it.each([301, 302, 303, 307, 308])('%i is followed', async (status) => {
    await using server = await startServer((request, response) => {
      if (request.url === '/target') serveContent({ bytes }, request, response);
      else response.writeHead(status, { location: 'target' }).end();
    });
    await using client = testClient();
    expect(whole.equals(await client.fetch(anonymous(`${server.url}/blob`), undefined, active()).then(collect))).toBe(
      true,
    );
  });

  it('to another server takes no credentials along, nor back', async () => {
    const seen: (string | undefined)[] = [];
    let homeUrl = '';
    await using elsewhere = await startServer((request, response) => {
      seen.push(request.headers.authorization, request.headers.cookie, request.headers['proxy-authorization']);
      response.writeHead(307, { location: `${homeUrl}/back` }).end();
    });
    await using home = await startServer((request, response) => {
      if (request.url === '/back') {
        seen.push(request.headers.authorization, request.headers.cookie);
        return serveContent({ bytes }, request, response);
      }
      expect(request.headers.authorization).toBe('Bearer planted');
      response.writeHead(307, { location: `${elsewhere.url}/away` }).end();
    });
    homeUrl = home.url;
    await using client = testClient();
    const request = { url: `${home.url}/blob`, headers: { 'Proxy-Authorization': 'planted' }, credentials };
    expect(whole.equals(await client.fetch(request, undefined, active()).then(collect))).toBe(true);
    expect(seen).toEqual([undefined, undefined, undefined, undefined, undefined]);
  });

  it('on the same server keeps them', async () => {
    const content = { bytes, authorization: 'Bearer planted' };
    await using server = await startServer((request, response) => {
      if (request.url === '/target') serveContent(content, request, response);
      else response.writeHead(302, { location: '/target' }).end();
    });
    await using client = testClient();
    await expect(client.probe({ url: server.url, headers: {}, credentials }, active())).resolves.toBeDefined();
  });

  it('weakness 10: is asked for anew by each request, and remembered for nobody', async () => {
    await using server = await startServer((request, response) => {
      if (request.url === '/target') serveContent({ bytes }, request, response);
      else response.writeHead(308, { location: '/target' }).end();
    });
    await using client = testClient();
    for (let n = 0; n < 2; n++) await client.probe(anonymous(`${server.url}/blob`), active());
    expect(server.requests.map(({ url }) => url)).toEqual(['/blob', '/target', '/blob', '/target']);
  });

  it('weakness 36: is followed ten times, no more', async () => {
    await using server = await startServer(
      (_request, response) => void response.writeHead(302, { location: '/again' }).end(),
    );
    await using client = testClient();
    await expect(client.probe(anonymous(server.url), active())).rejects.toThrow('more than 10 redirects');
    expect(server.requests).toHaveLength(11);
  });

  it.each(['ftp://elsewhere.test/', 'file:///etc/passwd', 'http://'])('to %s is refused', async (location) => {
    await using server = await startServer((_request, response) => void response.writeHead(302, { location }).end());
    await using client = testClient();
    await expect(client.probe(anonymous(server.url), active())).rejects.toThrow('not an http(s) URL');
  });
});

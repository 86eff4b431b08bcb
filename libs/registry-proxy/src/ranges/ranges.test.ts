import { OriginStatusError } from '@d7y/peer-engine';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Answer, ask, FakeRegistry, fuzz, type ProxyUnderTest, startProxy } from '../_fakes.ts';

const DIGEST = `sha256:${'b'.repeat(64)}`;
const BLOB = `/v2/library/app/blobs/${DIGEST}`;
const CONTENT = Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7) % 251));
const ETAG = '"v1"';
const MODIFIED = 'Wed, 21 Oct 2015 07:28:00 GMT';

let proxy: ProxyUnderTest;
beforeAll(async () => {
  proxy = await startProxy({ requestsPerSec: 1_000_000 });
});
beforeEach(() => {
  proxy.engine.requests.length = 0;
  proxy.engine.disposed = 0;
  proxy.engine.task = { content: CONTENT, chunkBytes: 700, responseHeaders: { 'content-type': 'a/b', etag: ETAG } };
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
});

const get = (range: string, more: Record<string, string> = {}) =>
  ask(proxy.port, BLOB, { headers: { range, ...more } });

/** Takes a multipart answer apart, strictly. */
function partsOf({ headers, body }: Answer): { type: string | undefined; start: number; end: number; bytes: Buffer }[] {
  const boundary = /^multipart\/byteranges; boundary=(\w{1,70})$/.exec(headers['content-type'] ?? '')?.[1];
  if (boundary === undefined) throw new Error(`no multipart: ${headers['content-type']}`);
  const text = body.toString('latin1');
  expect(text.endsWith(`\r\n--${boundary}--\r\n`)).toBe(true);
  return text
    .slice(0, -`\r\n--${boundary}--\r\n`.length)
    .split(`\r\n--${boundary}\r\n`)
    .slice(1)
    .map((part) => {
      const gap = part.indexOf('\r\n\r\n');
      const head = part.slice(0, gap);
      const [, start, end] = /^content-range: bytes (\d+)-(\d+)\/5000$/im.exec(head) ?? [];
      const type = /^content-type: (.*)$/im.exec(head)?.[1];
      return { type, start: Number(start), end: Number(end), bytes: Buffer.from(part.slice(gap + 4), 'latin1') };
    });
}

describe('one range', () => {
  it.each([
    ['bytes=0-0', 0, 0],
    ['bytes=7-11', 7, 11],
    ['bytes=4990-', 4990, 4999],
    ['bytes=-10', 4990, 4999],
    ['bytes=-99999', 0, 4999],
    ['bytes=0-99999', 0, 4999],
    ['bytes=10-20,15-30', 10, 30],
    ['bytes=10-20,21-30', 10, 30],
    ['bytes=9000-,5-6', 5, 6],
  ])('answers %s with 206 and its place', async (range, start, end) => {
    const answer = await get(range);
    expect(answer.status).toBe(206);
    expect(answer.headers).toMatchObject({
      'content-range': `bytes ${start}-${end}/5000`,
      'content-length': String(end - start + 1),
      'content-type': 'a/b',
      'accept-ranges': 'bytes',
    });
    expect(answer.body).toEqual(CONTENT.subarray(start, end + 1));
    expect(proxy.engine.disposed).toBe(proxy.engine.requests.length);
  });

  it.each(['bytes=5000-', 'bytes=-0', 'bytes=9000-9001,7000-'])('answers %s with 416 and the length', async (range) => {
    const answer = await get(range);
    expect([answer.status, answer.headers['content-range'], answer.headers['x-dragonfly-error-type']]).toEqual([
      ...[416, 'bytes */5000', 'proxy'],
    ]);
  });

  it.each([
    'bytes=',
    'bytes=x',
    'bytes=5-4',
    'items=0-1',
    'bytes 0-1',
    'bytes=0-1,x',
    `bytes=${Array(129).fill('0-0').join()}`,
  ])('weakness 15: the invalid Range %s is ignored and harms nobody', async (range) => {
    const answer = await get(range);
    expect([answer.status, answer.headers['content-range']]).toEqual([200, undefined]);
    expect(answer.body).toEqual(CONTENT);
  });

  it('weakness 14: a range says that the task is complete only when it was', async () => {
    expect((await get('bytes=0-9')).headers['x-dragonfly-task-download-finished']).toBeUndefined();
    proxy.engine.task = { content: CONTENT, fromCache: true };
    expect((await get('bytes=0-9')).headers['x-dragonfly-task-download-finished']).toBe('true');
  });

  it('gives content of unknown length as a whole', async () => {
    proxy.engine.task = { content: CONTENT, hideLength: true };
    const answer = await get('bytes=0-9,20-29');
    expect([answer.status, answer.body.length]).toEqual([200, 5000]);
  });

  it('leaves the Range of a HEAD to the registry', async () => {
    await using registry = await FakeRegistry.start((_, response) =>
      response.writeHead(200, { 'content-length': 5000 }).end(),
    );
    const answer = await ask(proxy.port, `${BLOB}?ns=${registry.authority}`, {
      method: 'HEAD',
      headers: { range: 'bytes=0-9' },
    });
    expect([answer.status, answer.headers['content-length']]).toEqual([200, '5000']);
    expect(proxy.engine.requests).toHaveLength(0);
  });
});

describe('several ranges', () => {
  it('come in one answer, as they were listed', async () => {
    const answer = await get('bytes=100-199, 0-49 ,-5, 9000-');
    expect(answer.status).toBe(206);
    expect(answer.headers['content-range']).toBeUndefined();
    expect(answer.headers['content-length']).toBe(String(answer.body.length));
    expect(partsOf(answer)).toEqual([
      { type: 'a/b', start: 100, end: 199, bytes: CONTENT.subarray(100, 200) },
      { type: 'a/b', start: 0, end: 49, bytes: CONTENT.subarray(0, 50) },
      { type: 'a/b', start: 4995, end: 4999, bytes: CONTENT.subarray(4995) },
    ]);
    expect(proxy.engine.disposed).toBe(3);
    expect(proxy.metrics.failed).toBe(0);
  });

  it('are never more bytes than the content, however they overlap', async () => {
    const answer = await get(`bytes=${Array.from({ length: 100 }, (_, start) => `${start}-`).join()},0-5,4999-`);
    expect([answer.status, answer.headers['content-range']]).toEqual([206, 'bytes 0-4999/5000']);
  });

  it('break the connection when one of them cannot be had any more', async () => {
    let opened = 0;
    proxy.engine.task = () => {
      if (++opened > 1) throw new OriginStatusError('http://x', 403, {});
      return { content: CONTENT };
    };
    await expect(get('bytes=0-9,100-109')).rejects.toThrow();
    expect(proxy.engine.disposed).toBe(1);
  });

  it('cover exactly what was asked for, whatever that is', async () => {
    const spec = fc.oneof(
      fc.tuple(fc.nat(6000), fc.nat(800)).map(([start, more]) => `${start}-${start + more}`),
      fc.nat(6000).map((start) => `${start}-`),
      fc.nat(6000).map((length) => `-${length}`),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(spec, { minLength: 1, maxLength: 8 }), async (specs) => {
        const wanted = new Set<number>();
        for (const one of specs) {
          const [first = '', last = ''] = one.split('-');
          const [start, end] =
            first === '' ? [5000 - Number(last), 4999] : [Number(first), last === '' ? 4999 : Number(last)];
          for (let at = Math.max(start, 0); at <= Math.min(end, 4999); at++) wanted.add(at);
        }
        const answer = await get(`bytes=${specs.join(',')}`);
        if (wanted.size === 0) return void expect(answer.status).toBe(416);
        expect(answer.status).toBe(206);
        expect(answer.headers['content-length']).toBe(String(answer.body.length));
        const single = /^bytes (\d+)-(\d+)\/5000$/.exec(answer.headers['content-range'] ?? '');
        const parts = single
          ? [{ start: Number(single[1]), end: Number(single[2]), bytes: answer.body }]
          : partsOf(answer);
        const got = new Set<number>();
        for (const { start, end, bytes } of parts) {
          expect(bytes.equals(CONTENT.subarray(start, end + 1))).toBe(true);
          for (let at = start; at <= end; at++) got.add(at);
        }
        expect(got).toEqual(wanted);
      }),
      fuzz(40, 3000),
    );
  }, 600_000);
});

describe('If-Range', () => {
  const cases: [validator: string, headers: Record<string, string>, matches: boolean][] = [
    [ETAG, { etag: ETAG }, true],
    ['"v2"', { etag: ETAG }, false],
    // A weak tag never matches, not even itself (RFC 9110 §13.1.5).
    [`W/${ETAG}`, { etag: `W/${ETAG}` }, false],
    [`"${DIGEST}"`, {}, true],
    [MODIFIED, { 'last-modified': MODIFIED }, true],
    ['Wed, 21 Oct 2015 07:28:01 GMT', { 'last-modified': MODIFIED }, false],
    [MODIFIED, {}, false],
    ['nonsense', { etag: ETAG }, false],
  ];

  it.each(cases)('%s of content with %j: a part: %s', async (validator, headers, matches) => {
    proxy.engine.task = { content: CONTENT, responseHeaders: headers };
    const answer = await get('bytes=10-19', { 'if-range': validator });
    expect([answer.status, answer.body.length]).toEqual(matches ? [206, 10] : [200, 5000]);
    const beyond = await get('bytes=9000-', { 'if-range': validator });
    expect([beyond.status, beyond.headers['content-range']]).toEqual(
      matches ? [416, 'bytes */5000'] : [200, undefined],
    );
    expect(proxy.engine.disposed).toBe(proxy.engine.requests.length - 1); // the one that was not opened
  });
});

describe('prefetch', () => {
  it('is asked of the engine for ranges, as the configuration or the caller says', async () => {
    const asked = () => proxy.engine.requests.map(({ prefetch }) => prefetch);
    await get('bytes=0-9');
    await get('bytes=0-9', { 'x-dragonfly-prefetch': 'true' });
    await ask(proxy.port, BLOB, { headers: { 'x-dragonfly-prefetch': 'true' } });
    expect(asked()).toEqual([false, true, false]);
    await using prefetching = await startProxy({ prefetch: true });
    await ask(prefetching.port, BLOB, { headers: { range: 'bytes=0-9' } });
    await ask(prefetching.port, BLOB, { headers: { range: 'bytes=0-9', 'x-dragonfly-prefetch': 'false' } });
    expect(prefetching.engine.requests.map(({ prefetch }) => prefetch)).toEqual([true, false]);
  });
});

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../src/process/eventually.ts';
import { pseudoRandomBytes } from '../src/scratch/pseudo-random.ts';
import { type CountingProxy, startCountingProxy } from '../src/http/counting-proxy.ts';
import { type FileOrigin, startFileOrigin } from '../src/http/file-origin.ts';
import { download } from './_download.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;
const PATH = `/v2/test/app/blobs/${DIGEST}`;
const BYTES = pseudoRandomBytes('blob', 3_000_000);
let origin: FileOrigin;
let proxy: CountingProxy;

beforeEach(async () => {
  origin = await startFileOrigin();
  origin.publish(PATH, { bytes: BYTES });
  proxy = await startCountingProxy({ upstream: origin.url });
});

afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

describe('startCountingProxy', () => {
  it('passes bytes on unchanged and knows which', async () => {
    const first = await download(`${proxy.url}${PATH}`, { range: 'bytes=0-999999' });
    const rest = await download(`${proxy.url}${PATH}`, { range: 'bytes=1000000-', authorization: 'Bearer secret' });
    expect(Buffer.concat([first.body, rest.body]).equals(BYTES)).toBe(true);
    expect(proxy.log.blobCoverage(DIGEST, BYTES.length)).toMatchObject({ minTimes: 1, maxTimes: 1, repeatedBytes: 0 });
    expect(proxy.log.requests[1]).toMatchObject({
      startByte: 1_000_000,
      totalBytes: 3_000_000,
      authorization: 'Bearer',
    });
    expect(JSON.stringify(proxy.log.requests)).not.toContain('secret');
  });

  it('counts what the origin counts', async () => {
    await Promise.all(Array.from({ length: 5 }, () => download(`${proxy.url}${PATH}`)));
    expect(proxy.log.blobCoverage(DIGEST, BYTES.length)).toEqual(origin.log.blobCoverage(DIGEST, BYTES.length));
    expect(proxy.log.blobCoverage(DIGEST, BYTES.length).maxTimes).toBe(5);
  });

  it('does not take a HEAD or a probe for a download', async () => {
    const head = await download(`${proxy.url}${PATH}`, {}, { method: 'HEAD' });
    await download(`${proxy.url}${PATH}`, { range: 'bytes=0-0' });
    expect(head.headers['content-length']).toBe('3000000');
    expect(proxy.log.requests).toHaveLength(2);
    expect(proxy.log.blobRequests()).toHaveLength(0);
  });

  it('counts exactly what passed when it cuts', async () => {
    using _fault = proxy.inject({ path: /blobs/, times: 1, fault: { cutAfterBytes: 1_234_567 } });
    const { body, cut } = await download(`${proxy.url}${PATH}`);
    expect(cut).toBe(true);
    expect(body.equals(BYTES.subarray(0, 1_234_567))).toBe(true);
    await download(`${proxy.url}${PATH}`, { range: 'bytes=1234567-' });
    expect(proxy.log.blobCoverage(DIGEST, BYTES.length)).toMatchObject({ minTimes: 1, maxTimes: 1 });
  });

  it('blocks blobs and nothing else until told otherwise', async () => {
    origin.publish('/v2/test/app/manifests/v1', { bytes: Buffer.from('{}') });
    const blocked = proxy.blockBlobs();
    expect((await download(`${proxy.url}${PATH}`)).status).toBe(503);
    expect((await download(`${proxy.url}/v2/test/app/manifests/v1`)).status).toBe(200);
    blocked[Symbol.dispose]();
    expect((await download(`${proxy.url}${PATH}`)).status).toBe(200);
    expect(blocked.met).toBe(1);
  });

  it('replaces and removes headers', async () => {
    using _fault = proxy.inject({ path: /blobs/, fault: { headers: { 'Accept-Ranges': null, etag: '"other"' } } });
    const { headers } = await download(`${proxy.url}${PATH}`);
    expect(headers['accept-ranges']).toBeUndefined();
    expect(headers.etag).toBe('"other"');
  });

  it('hangs until the client gives up', async () => {
    using hanging = proxy.inject({ path: /blobs/, fault: { hang: true } });
    const leave = new AbortController();
    const waiting = download(`${proxy.url}${PATH}`, {}, { signal: leave.signal });
    await eventually(() => expect(hanging.met).toBe(1));
    leave.abort();
    await expect(waiting).rejects.toThrow('aborted');
    await eventually(() => expect(proxy.log.requests[0]).toMatchObject({ status: 0, sentBytes: 0, state: 'cut' }));
  });

  it('answers 502 when the upstream is gone', async () => {
    await origin[Symbol.asyncDispose]();
    expect((await download(`${proxy.url}${PATH}`)).status).toBe(502);
    origin = await startFileOrigin();
  });
});

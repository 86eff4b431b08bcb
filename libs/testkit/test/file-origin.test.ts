import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../src/process/eventually.ts';
import { pseudoRandomBytes } from '../src/scratch/pseudo-random.ts';
import { type FileOrigin, startFileOrigin } from '../src/http/file-origin.ts';
import { download } from './_download.ts';

const BYTES = pseudoRandomBytes('origin', 1_000_000);
let origin: FileOrigin;

beforeEach(async () => {
  origin = await startFileOrigin();
});

afterEach(async () => {
  await origin[Symbol.asyncDispose]();
});

describe('startFileOrigin', () => {
  it('serves a file and counts every byte once', async () => {
    const url = origin.publish('/file', { bytes: BYTES });
    expect((await download(url)).body.equals(BYTES)).toBe(true);
    expect(origin.log.coverage('/file', BYTES.length)).toMatchObject({
      minTimes: 1,
      maxTimes: 1,
      sentBytes: BYTES.length,
    });
  });

  it.each([
    ['bytes=10-19', 10, 20],
    ['bytes=999990-', 999_990, 1_000_000],
    ['bytes=-5', 999_995, 1_000_000],
    ['bytes=999999-2000000', 999_999, 1_000_000],
  ])('answers %s with those bytes', async (range, start, end) => {
    const url = origin.publish('/file', { bytes: BYTES });
    const answer = await download(url, { range });
    expect(answer.status).toBe(206);
    expect(answer.headers['content-range']).toBe(`bytes ${start}-${end - 1}/1000000`);
    expect(answer.body.equals(BYTES.subarray(start, end))).toBe(true);
  });

  it('answers 416 to a range past the end', async () => {
    const answer = await download(origin.publish('/file', { bytes: BYTES }), { range: 'bytes=1000000-' });
    expect(answer).toMatchObject({ status: 416, headers: { 'content-range': 'bytes */1000000' } });
  });

  it('counts every byte of the body that anybody got, but for one of a probe', async () => {
    const url = origin.publish('/file', { bytes: BYTES });
    for (const range of ['bytes=0-0', 'bytes=0-0', 'bytes=0-9']) await download(url, { range });
    await download(url);
    expect(origin.log.bodyBytes('/file')).toBe(1 + 10 + BYTES.length);
    const single = origin.publish('/single', { bytes: Buffer.of(7) });
    await download(single, { range: 'bytes=0-0' });
    expect(origin.log.bodyBytes('/single')).toBe(1);
  });

  it('leaves probes of one byte out of the coverage', async () => {
    const url = origin.publish('/file', { bytes: BYTES });
    await download(url, { range: 'bytes=0-0' });
    expect(origin.log.requests).toHaveLength(1);
    expect(origin.log.coverage('/file', BYTES.length).sentBytes).toBe(0);
  });

  it('can serve without ranges and without a length', async () => {
    const whole = await download(origin.publish('/whole', { bytes: BYTES, noRanges: true }), { range: 'bytes=5-9' });
    expect(whole).toMatchObject({ status: 200, headers: { 'content-length': '1000000' } });
    const chunked = await download(origin.publish('/chunked', { bytes: BYTES, unknownLength: true }));
    expect(chunked.headers['content-length']).toBeUndefined();
    expect(chunked.body.equals(BYTES)).toBe(true);
  });

  it('redirects, and refuses who shows no credentials', async () => {
    const moved = await download(origin.publish('/moved', { bytes: BYTES, redirectTo: 'http://127.0.0.1:9/there' }));
    expect(moved).toMatchObject({ status: 307, headers: { location: 'http://127.0.0.1:9/there' } });
    const url = origin.publish('/private', { bytes: BYTES, authorization: 'Bearer t' });
    expect((await download(url)).status).toBe(401);
    expect((await download(url, { authorization: 'Bearer t' })).status).toBe(200);
    expect(origin.log.requests.map((entry) => entry.authorization)).toEqual([undefined, undefined, 'Bearer']);
  });

  it('answers as it is told, as often as it is told', async () => {
    const url = origin.publish('/file', { bytes: BYTES });
    const rule = origin.inject({ path: /file/, times: 1, fault: { status: 429, headers: { 'retry-after': '2' } } });
    expect(await download(url)).toMatchObject({ status: 429, headers: { 'retry-after': '2' } });
    expect((await download(url)).status).toBe(200);
    expect(rule.met).toBe(1);
  });

  it('cuts the body after exactly so many bytes', async () => {
    const url = origin.publish('/file', { bytes: BYTES });
    using _fault = origin.inject({ path: /file/, fault: { cutAfterBytes: 123_456 } });
    const answer = await download(url);
    expect(answer.cut).toBe(true);
    expect(answer.body.equals(BYTES.subarray(0, 123_456))).toBe(true);
    expect(origin.log.requests[0]).toMatchObject({ sentBytes: 123_456, state: 'cut' });
  });

  it('flips one bit of a copy, not of the file', async () => {
    const url = origin.publish('/file', { bytes: BYTES });
    const rule = origin.inject({ path: /file/, fault: { corruptAtByte: 500_000 } });
    const { body } = await download(url);
    expect(body.findIndex((byte, at) => byte !== BYTES[at])).toBe(500_000);
    rule[Symbol.dispose]();
    expect((await download(url)).body.equals(BYTES)).toBe(true);
  });

  it('keeps to a rate', async () => {
    const url = origin.publish('/file', { bytes: BYTES });
    using _fault = origin.inject({ path: /file/, fault: { bytesPerSec: 4_000_000 } });
    const { ms, body } = await download(url);
    expect(body.length).toBe(BYTES.length);
    expect(ms).toBeGreaterThan(230);
  });

  it('counts only what a client that leaves can have got', async () => {
    const url = origin.publish('/file', { bytes: BYTES });
    using _fault = origin.inject({ path: /file/, fault: { bytesPerSec: 1_000_000 } });
    const leave = new AbortController();
    const leaving = download(url, {}, { signal: leave.signal });
    await eventually(() => expect(origin.log.requests[0]?.sentBytes).toBeGreaterThan(0));
    leave.abort();
    await leaving.catch(() => undefined);
    await eventually(() => expect(origin.log.requests[0]?.state).toBe('cut'));
    expect(origin.log.requests[0]?.sentBytes).toBeLessThan(BYTES.length);
  });
});

import { describe, expect, it } from '@jest/globals';
import type { ByteRange } from '@d7y/piece';
import { Secret } from '@d7y/service-kit';
import type { Origin, OriginRequest } from '../ports/origin.ts';
import { OriginStatusError, OriginUnreachableError } from '../ports/origin.ts';
import type { OriginContent } from '../testing/memory-origin.ts';
import { pattern } from './task-store.ts';

/** An origin under test with a place to put content; disposing it closes both. */
export interface OriginUnderTest extends AsyncDisposable {
  readonly origin: Origin;
  /** Makes content available. @returns its url */
  put(content: OriginContent): string;
  /** A url of the same origin under which there is nothing. */
  readonly missingUrl: string;
}

/** What every Origin promises. */
export function describeOrigin(name: string, setup: () => Promise<OriginUnderTest>): void {
  const bytes = pattern(1, 300_000);

  describe(`${name} as an origin`, () => {
    it('tells length and headers of content without reading it', async () => {
      await using under = await setup();
      const url = under.put({ bytes, headers: { 'content-type': 'application/test', etag: '"1"' } });
      const probe = await under.origin.probe(anonymous(url), active());
      expect(probe).toMatchObject({ contentLength: bytes.length, acceptsRanges: true });
      expect(probe.headers).toMatchObject({ 'content-type': 'application/test', etag: '"1"' });
    });

    it('tells that parts cannot be asked for', async () => {
      await using under = await setup();
      const url = under.put({ bytes, acceptsRanges: false });
      const probe = await under.origin.probe(anonymous(url), active());
      expect(probe).toMatchObject({ contentLength: bytes.length, acceptsRanges: false });
    });

    it('does not invent a length', async () => {
      await using under = await setup();
      const url = under.put({ bytes, acceptsRanges: false, tellsLength: false });
      const probe = await under.origin.probe(anonymous(url), active());
      expect(probe.contentLength).toBeUndefined();
      expect(await under.origin.fetch(anonymous(url), undefined, active()).then(collect)).toEqual(Buffer.from(bytes));
    });

    it('knows empty content', async () => {
      await using under = await setup();
      const url = under.put({ bytes: new Uint8Array() });
      expect((await under.origin.probe(anonymous(url), active())).contentLength).toBe(0);
      expect(await under.origin.fetch(anonymous(url), undefined, active()).then(collect)).toHaveLength(0);
    });

    it.each<[string, ByteRange]>([
      ['the first byte', { start: 0, length: 1 }],
      ['a part', { start: 70_000, length: 130_000 }],
      ['the last byte', { start: 299_999, length: 1 }],
      ['everything', { start: 0, length: 300_000 }],
    ])('delivers exactly %s', async (_, range) => {
      await using under = await setup();
      const url = under.put({ bytes });
      const got = await under.origin.fetch(anonymous(url), range, active()).then(collect);
      expect(got).toEqual(Buffer.from(bytes.subarray(range.start, range.start + range.length)));
    });

    it('delivers the whole content without a range', async () => {
      await using under = await setup();
      const url = under.put({ bytes });
      expect(await under.origin.fetch(anonymous(url), undefined, active()).then(collect)).toEqual(Buffer.from(bytes));
    });

    it('cuts the beginning off an origin without ranges, and refuses to deliver from its middle', async () => {
      await using under = await setup();
      const url = under.put({ bytes, acceptsRanges: false });
      const beginning = await under.origin.fetch(anonymous(url), { start: 0, length: 1000 }, active()).then(collect);
      expect(beginning).toEqual(Buffer.from(bytes.subarray(0, 1000)));
      const middle = under.origin.fetch(anonymous(url), { start: 1, length: 1000 }, active()).then(collect);
      await expect(middle).rejects.toThrow(OriginUnreachableError);
    });

    it('refuses a range that content does not have', async () => {
      await using under = await setup();
      const url = under.put({ bytes });
      const past = under.origin.fetch(anonymous(url), { start: 300_000, length: 1 }, active()).then(collect);
      await expect(past).rejects.toMatchObject({ code: 'ORIGIN_STATUS', status: 416 });
      const across = under.origin.fetch(anonymous(url), { start: 299_999, length: 2 }, active()).then(collect);
      await expect(across).rejects.toThrow(OriginUnreachableError);
    });

    it('passes on what the origin says instead of content', async () => {
      await using under = await setup();
      const probe = under.origin.probe(anonymous(under.missingUrl), active());
      await expect(probe).rejects.toMatchObject({ status: 404, retryable: false });
      await expect(probe).rejects.toThrow(OriginStatusError);
      const body = under.origin.fetch(anonymous(under.missingUrl), undefined, active());
      await expect(body).rejects.toMatchObject({ status: 404 });
    });

    it('presents credentials only when it is given them, and passes on the challenge otherwise', async () => {
      await using under = await setup();
      const url = under.put({ bytes, authorization: 'Basic dXNlcjpwdw==' });
      const refused = under.origin.probe(anonymous(url), active());
      await expect(refused).rejects.toMatchObject({
        status: 401,
        headers: { 'www-authenticate': expect.stringMatching(/^Basic/) },
      });
      const request = { ...anonymous(url), credentials: { authorization: new Secret('Basic dXNlcjpwdw==') } };
      expect((await under.origin.probe(request, active())).contentLength).toBe(bytes.length);
      expect(await under.origin.fetch(request, undefined, active()).then(collect)).toHaveLength(bytes.length);
    });

    it('does not begin for a caller who has gone', async () => {
      await using under = await setup();
      const url = under.put({ bytes });
      const signal = AbortSignal.abort(new Error('gone'));
      await expect(under.origin.probe(anonymous(url), { signal })).rejects.toThrow('gone');
      await expect(under.origin.fetch(anonymous(url), undefined, { signal })).rejects.toThrow('gone');
    });

    it('stops in the middle when the caller goes', async () => {
      await using under = await setup();
      const url = under.put({ bytes: new Uint8Array(8 * 2 ** 20) });
      const caller = new AbortController();
      const body = await under.origin.fetch(anonymous(url), undefined, { signal: caller.signal });
      const reading = (async () => {
        for await (const _chunk of body.chunks) caller.abort(new Error('gone'));
      })();
      await expect(reading).rejects.toThrow('gone');
    });

    it('lets the reader end early', async () => {
      await using under = await setup();
      const url = under.put({ bytes });
      const body = await under.origin.fetch(anonymous(url), undefined, active());
      let chunks = 0;
      for await (const _chunk of body.chunks) {
        chunks++;
        break;
      }
      expect(chunks).toBe(1);
    });
  });
}

/** A request of somebody without credentials. */
export function anonymous(url: string): OriginRequest {
  return { url, headers: {}, credentials: {} };
}

/** Options of a caller who stays. */
export function active(): { signal: AbortSignal } {
  return { signal: new AbortController().signal };
}

/** All bytes of a body. */
export async function collect({ chunks }: { chunks: AsyncIterable<Uint8Array> }): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Secret } from '@d7y/service-kit';
import { FakeCluster, layoutOf, MIB, requestOf } from './_swarm.ts';
import type { Engine, TaskRequest, TaskStream } from './index.ts';
import { OriginUnreachableError, taskIdOfRequest } from './index.ts';
import { MemoryOrigin } from './testing/index.ts';

const URL = 'http://registry.test/v2/app/blobs/';
const signal = new AbortController().signal;

interface Content {
  readonly url: string;
  readonly bytes: Buffer;
}

let origin: MemoryOrigin;
let cluster: FakeCluster;

beforeEach(() => {
  origin = new MemoryOrigin();
  cluster = new FakeCluster(origin, { instructionMs: 300, starvationMs: 300, seedMs: 300, reconnectMs: 20 });
});

afterEach(async () => {
  await Promise.all([...cluster.engines.values()].map(({ engine }) => engine[Symbol.asyncDispose]()));
});

/** Bytes that nowhere repeat, always the same for the same seed. */
function noise(seed: string, size: number): Buffer {
  return createHash('shake256', { outputLength: size }).update(seed).digest();
}

/** Content at the origin under the URL of its digest. */
function blob(size: number, seed = 'blob'): Content {
  const bytes = noise(seed, size);
  const url = `${URL}sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  origin.put(url, { bytes, headers: { 'content-type': 'application/octet-stream' } });
  return { url, bytes };
}

async function read(stream: TaskStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await stream.firstByte();
  await stream.deliver((bytes) => {
    chunks.push(Buffer.from(bytes));
    return Promise.resolve();
  });
  return Buffer.concat(chunks);
}

async function pull(engine: Engine, url: string, more: Partial<TaskRequest> = {}): Promise<Buffer> {
  await using stream = await engine.open(requestOf(url, more), { signal });
  return await read(stream);
}

/** Has the origin stop after 8 MiB, which is when `reached` resolves, until `hold` does. */
function pauseOrigin(): Record<'reached' | 'hold', PromiseWithResolvers<void>> {
  const [reached, hold] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  origin.onChunk = async (_call, position) => {
    if (position < 8 * MIB) return;
    reached.resolve();
    await hold.promise;
  };
  return { reached, hold };
}

const served = (url: string): number => origin.bytesServed.get(url) ?? 0;

describe('a download without peers', () => {
  it('gives the bytes of the origin, fetched once, and serves later callers from the store', async () => {
    const { url, bytes } = blob(9 * MIB + 5);
    const engine = cluster.add('a');
    expect((await pull(engine, url)).equals(bytes)).toBe(true);
    await using again = await engine.open(requestOf(url), { signal });
    expect(again.fromCache).toBe(true);
    expect((await read(again)).equals(bytes)).toBe(true);
    expect(served(url)).toBe(bytes.length);
    expect(origin.calls.filter(({ kind }) => kind === 'probe')).toHaveLength(1);
  });

  it('lets concurrent callers join one download', async () => {
    const { url, bytes } = blob(9 * MIB);
    const engine = cluster.add('a');
    const results = await Promise.all([1, 2, 3, 4].map(() => pull(engine, url)));
    expect(results.every((result) => result.equals(bytes))).toBe(true);
    expect(served(url)).toBe(bytes.length);
  });

  it.each([0, 1, 4 * MIB, 4 * MIB + 1])('gives content of %i bytes', async (size) => {
    const { url, bytes } = blob(size);
    expect((await pull(cluster.add('a'), url)).equals(bytes)).toBe(true);
  });

  it('releases bytes of the origin before the rest has come, but never the last piece', async () => {
    const { url, bytes } = blob(9 * MIB);
    const hold = Promise.withResolvers<void>();
    origin.onChunk = async (_call, position) => {
      if (position >= 6 * MIB) await hold.promise;
    };
    await using stream = await cluster.add('a').open(requestOf(url), { signal });
    let received = 0;
    const sixMib = Promise.withResolvers<void>();
    const delivery = stream.deliver((chunk) => {
      received += chunk.length;
      if (received >= 4 * MIB) sixMib.resolve();
      return Promise.resolve();
    });
    await sixMib.promise;
    expect(received).toBeLessThanOrEqual(8 * MIB);
    hold.resolve();
    await delivery;
    expect(received).toBe(bytes.length);
  });

  it('weakness 20: withholds the last piece of content that does not have its digest, and keeps none of it', async () => {
    const { url, bytes } = blob(9 * MIB);
    bytes.writeUInt8((bytes[8 * MIB] ?? 0) ^ 1, 8 * MIB);
    origin.put(url, { bytes });
    const engine = cluster.add('a');
    await using stream = await engine.open(requestOf(url), { signal });
    let received = 0;
    const delivery = stream.deliver((chunk) => {
      received += chunk.length;
      return Promise.resolve();
    });
    await expect(delivery).rejects.toMatchObject({ code: 'TASK_DIGEST_MISMATCH' });
    expect(received).toBeLessThanOrEqual(8 * MIB);
    expect(cluster.engines.get('a')?.store.get(taskIdOfRequest(requestOf(url)))).toBeUndefined();
  });

  it('is not spoiled for others by a caller who expects a wrong digest', async () => {
    const url = 'http://files.test/model.bin';
    const bytes = noise('model', 5 * MIB);
    origin.put(url, { bytes, headers: {} });
    const engine = cluster.add('a');
    await expect(pull(engine, url, { digest: `sha256:${'0'.repeat(64)}` })).rejects.toThrow('expected sha256:000');
    // The scheduler hears of it: nobody waits for a download that came to nothing.
    expect([...cluster.scheduler.reports.values()].map((reports) => reports.at(-1)?.[0])).toEqual([
      'backToSourceFailed',
    ]);
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    expect((await pull(engine, url, { digest })).equals(bytes)).toBe(true);
    expect((await pull(engine, url)).equals(bytes)).toBe(true);
  });

  it('verifies a blob by the digest of its name, whatever digest a caller claims', async () => {
    const { url, bytes } = blob(5 * MIB);
    const digest = `sha256:${'0'.repeat(64)}`;
    expect((await pull(cluster.add('a'), url, { digest })).equals(bytes)).toBe(true);
  });

  it('weakness 18: reads an origin without ranges once', async () => {
    const { url, bytes } = blob(9 * MIB);
    origin.put(url, { bytes, acceptsRanges: false });
    expect((await pull(cluster.add('a'), url)).equals(bytes)).toBe(true);
    expect(origin.calls.filter(({ kind }) => kind === 'fetch')).toHaveLength(1);
  });

  it('weakness 18: hands content of unknown length through', async () => {
    const { url, bytes } = blob(3 * MIB);
    origin.put(url, { bytes, tellsLength: false });
    expect((await pull(cluster.add('a'), url)).equals(bytes)).toBe(true);
  });

  it('fetches only the pieces of a range of a plain file', async () => {
    const bytes = noise('file', 20 * MIB);
    origin.put('http://files.test/f', { bytes });
    const range = { rangeHeader: `bytes=${9 * MIB}-${9 * MIB + 99}` };
    const part = await pull(cluster.add('a'), 'http://files.test/f', range);
    expect(part.equals(bytes.subarray(9 * MIB, 9 * MIB + 100))).toBe(true);
    expect(served('http://files.test/f')).toBeLessThanOrEqual(4 * MIB);
  });

  it('refuses a range past the end, and leaves the task alone', async () => {
    const { url, bytes } = blob(MIB);
    const engine = cluster.add('a');
    await expect(pull(engine, url, { rangeHeader: `bytes=${MIB}-` })).rejects.toMatchObject({
      code: 'RANGE_NOT_SATISFIABLE',
      contentLength: MIB,
    });
    expect((await pull(engine, url)).equals(bytes)).toBe(true);
  });

  it('passes on what the origin says to this caller', async () => {
    const { url, bytes } = blob(MIB);
    origin.put(url, { bytes, authorization: 'Bearer good' });
    await expect(pull(cluster.add('a'), url)).rejects.toMatchObject({ code: 'ORIGIN_STATUS', status: 401 });
  });

  it('weakness 25: stops fetching when the last caller leaves, and goes on from what it has', async () => {
    const { url, bytes } = blob(40 * MIB);
    const engine = cluster.add('a');
    const reached = Promise.withResolvers<void>();
    const hold = Promise.withResolvers<void>();
    origin.onChunk = async (_call, position, { signal: aborted }) => {
      if (position < 10 * MIB) return;
      if (position < 16 * MIB) reached.resolve();
      await Promise.race([hold.promise, new Promise((resolve) => aborted.addEventListener('abort', resolve))]);
    };
    const stream = await engine.open(requestOf(url), { signal });
    await reached.promise;
    await stream[Symbol.asyncDispose]();
    const kept = cluster.engines.get('a')?.store.get(taskIdOfRequest(requestOf(url)))?.finishedPieces.size ?? 0;
    hold.resolve();
    origin.onChunk = () => undefined;
    const before = served(url);
    expect((await pull(engine, url)).equals(bytes)).toBe(true);
    expect(kept).toBeGreaterThan(0);
    expect(served(url) - before).toBe(bytes.length - kept * 4 * MIB);
  });
});

describe('a download in a swarm', () => {
  it('takes each byte from the origin once for any number of simultaneous hosts', async () => {
    const { url, bytes } = blob(33 * MIB);
    const engines = ['a', 'b', 'c', 'd'].map((name) => cluster.add(name));
    const results = await Promise.all(engines.map((engine) => pull(engine, url)));
    expect(results.every((result) => result.equals(bytes))).toBe(true);
    expect(served(url)).toBe(bytes.length);
    const [first, ...others] = [...cluster.scheduler.reports.values()];
    expect(first?.[0]).toEqual(['backToSourceStarted']);
    expect(first?.at(-1)).toEqual(['backToSourceFinished']);
    for (const reports of others) expect([reports[0], reports.at(-1)]).toEqual([['started'], ['finished']]);
  });

  it('releases nothing that came from peers before the digest has matched', async () => {
    const { url, bytes } = blob(9 * MIB);
    await pull(cluster.add('a'), url);
    cluster.behaviour.set('a', 'lying');
    await using stream = await cluster.add('b').open(requestOf(url), { signal });
    expect((await read(stream)).equals(bytes)).toBe(true);
    expect(stream.traffic().backToSource).toBe(bytes.length);
    expect(cluster.blamed).toEqual(['a: wrongBytes']);
  });

  it.each(['corrupt', 'silent', 'mute', 'gone', 'refusing'] as const)(
    'gets by without a parent that is %s, and does not ask it for the next task',
    async (behaviour) => {
      const [one, two] = [blob(13 * MIB, 'one'), blob(13 * MIB, 'two')];
      const bad = cluster.add('bad');
      await pull(bad, one.url);
      await pull(bad, two.url);
      cluster.behaviour.set('bad', behaviour);
      const good = cluster.add('good');
      expect((await pull(good, one.url)).equals(one.bytes)).toBe(true);
      const askedBefore = cluster.asked.get('bad') ?? 0;
      expect((await pull(good, two.url)).equals(two.bytes)).toBe(true);
      if (behaviour === 'silent' || behaviour === 'mute') expect(cluster.blamed).toContain('bad: stalled');
      // One that says "busy" in good order is asked again.
      if (behaviour !== 'refusing') expect(cluster.asked.get('bad') ?? 0).toBe(askedBefore);
      expect(cluster.scheduler.reports.get('127.0.0.1-good-good-0')?.some(([what]) => what === 'reschedule')).toBe(
        true,
      );
    },
  );

  it('learns the length from the scheduler while the origin is down, and gets all from peers', async () => {
    const { url, bytes } = blob(9 * MIB);
    await pull(cluster.add('a'), url);
    origin.onCall = ({ url: asked }) => {
      throw new OriginUnreachableError(asked, 'connection refused');
    };
    expect((await pull(cluster.add('b'), url)).equals(bytes)).toBe(true);
  });

  it('keeps private content from callers whom the origin cannot accept while it is down', async () => {
    const { url, bytes } = blob(9 * MIB);
    await pull(cluster.add('a'), url);
    origin.onCall = ({ url: asked }) => {
      throw new OriginUnreachableError(asked, 'connection refused');
    };
    const parents = [cluster.asParent('a', 'peer', bytes.length, true)];
    cluster.scheduler.answer = () => ({ kind: 'parents', parents });
    await expect(pull(cluster.add('b'), url)).rejects.toMatchObject({ code: 'ORIGIN_UNREACHABLE' });
  });

  it('registers private content with LEVEL3 and without its credentials', async () => {
    const { url, bytes } = blob(5 * MIB);
    origin.put(url, { bytes, authorization: 'Bearer planted' });
    const credentials = { authorization: new Secret('Bearer planted') };
    const engine = cluster.add('a');
    expect((await pull(engine, url, { credentials })).equals(bytes)).toBe(true);
    expect(cluster.scheduler.registrations[0]?.priority).toBe(3);
    expect(JSON.stringify(cluster.scheduler.registrations)).not.toContain('planted');
    await expect(pull(engine, url)).rejects.toMatchObject({ status: 401 });
  });
});

describe('an origin that only the caller vouches for', () => {
  const more = { authorities: 'authorities of the caller' };

  it('is asked everything with the authorities of its caller, which nobody else hears of', async () => {
    const url = 'http://origin.test/file';
    origin.put(url, { bytes: noise('file', 9 * MIB) });
    cluster = new FakeCluster(origin, {}, { revalidateMs: 0 });
    const engine = cluster.add('a');
    await pull(engine, url, more);
    await pull(engine, url, more); // asks whether it is still the same
    expect(origin.calls.filter(({ kind }) => kind === 'probe')).toHaveLength(2);
    expect(new Set(origin.calls.map(({ authorities }) => authorities))).toEqual(new Set([more.authorities]));
    expect(JSON.stringify(cluster.scheduler.registrations)).not.toContain(more.authorities);

    origin.put(url, { bytes: noise('other', 100), tellsLength: false });
    await pull(cluster.add('b'), url, more);
    expect(origin.calls.at(-1)).toMatchObject({ kind: 'fetch', ...more });
    origin.calls.length = 0;
    await pull(cluster.add('c'), url);
    expect(new Set(origin.calls.map(({ authorities }) => authorities))).toEqual(new Set([undefined]));
  });

  it('makes nothing public that peers hold as private', async () => {
    const { url, bytes } = blob(9 * MIB);
    await pull(cluster.add('a'), url);
    const parents = [cluster.asParent('a', 'peer', bytes.length, true)];
    cluster.scheduler.answer = ({ hostId }) => (hostId === 'a' ? undefined : { kind: 'parents', parents });
    origin.calls.length = 0;
    expect((await pull(cluster.add('b'), url, more)).equals(bytes)).toBe(true);
    expect(cluster.asked.get('a')).toBeUndefined();
    expect(origin.calls.some(({ kind }) => kind === 'fetch')).toBe(true);
    // Whom the configured authorities, or its own credentials, give access gets it from there.
    await pull(cluster.add('c'), url);
    expect(cluster.asked.get('a')).toBeGreaterThan(0);
  });
});

describe('weakness 8: private content that is here', () => {
  const credentials = { authorization: new Secret('Bearer planted') };

  it('is not had through another address, whatever id the caller chooses', async () => {
    const { url, bytes } = blob(5 * MIB);
    origin.put(url, { bytes, authorization: 'Bearer planted' });
    const engine = cluster.add('a');
    await pull(engine, url, { credentials, enableTaskIdBasedBlobDigest: true });
    const digest = url.slice(URL.length);
    const elsewhere = `http://evil.test/v2/app/blobs/${digest}`;
    origin.put(elsewhere, { bytes: Buffer.from('accepts everybody') });
    for (const more of [{}, { isAccepted: true }, { credentials }]) {
      const asked = pull(engine, elsewhere, { enableTaskIdBasedBlobDigest: true, ...more });
      await expect(asked).rejects.toMatchObject({ code: 'PRIVATE_ELSEWHERE' });
    }
    // The id of the private task, named by what it is made of.
    await pull(engine, url, { credentials });
    const asked = pull(engine, 'http://evil.test/x', { contentForCalculatingTaskId: `${url}STANDARD` });
    await expect(asked).rejects.toMatchObject({ code: 'PRIVATE_ELSEWHERE' });
  });

  it('is kept from strangers although only a part of it is here', async () => {
    const url = 'http://registry.test/file';
    origin.put(url, { bytes: noise('file', 9 * MIB), authorization: 'Bearer planted' });
    const engine = cluster.add('a');
    await pull(engine, url, { credentials, rangeHeader: 'bytes=0-99' });
    await expect(pull(engine, url, { rangeHeader: 'bytes=0-99' })).rejects.toMatchObject({ status: 401 });
  });

  it('is had without another question by whom the front end accepted', async () => {
    const { url, bytes } = blob(5 * MIB);
    origin.put(url, { bytes, authorization: 'Bearer planted' });
    const engine = cluster.add('a');
    await pull(engine, url, { credentials });
    const before = origin.calls.length;
    expect((await pull(engine, url, { isAccepted: true })).equals(bytes)).toBe(true);
    expect(origin.calls).toHaveLength(before);
  });

  it('stays private for the scheduler, whoever has this host fetch what it holds', async () => {
    const { url, bytes } = blob(5 * MIB);
    origin.put(url, { bytes, authorization: 'Bearer planted' });
    const engine = cluster.add('a');
    await pull(engine, url, { credentials });
    await pull(engine, url, { isAccepted: true, needBackToSource: true });
    expect(cluster.scheduler.registrations.at(-1)).toMatchObject({ metadataOnly: true, priority: 3 });
  });

  it('is brought here from others, without credentials, only for whom the front end accepted', async () => {
    const { url, bytes } = blob(9 * MIB);
    origin.put(url, { bytes, authorization: 'Bearer planted' });
    await pull(cluster.add('a'), url, { credentials });
    const before = origin.calls.length;
    const keeper = cluster.add('b');
    const kept = { priority: 3, disableBackToSource: true };
    const parents = [cluster.asParent('a', 'peer', bytes.length, true)];
    cluster.scheduler.answer = () => ({ kind: 'parents', parents });
    await expect(pull(keeper, url, kept)).rejects.toMatchObject({ code: 'TASK_UNAVAILABLE' });
    expect((await pull(keeper, url, { ...kept, isAccepted: true })).equals(bytes)).toBe(true);
    expect(origin.calls).toHaveLength(before);
    await expect(pull(keeper, url)).rejects.toMatchObject({ status: 401 });
  });
});

describe('a download whose scheduler', () => {
  it('died asks the same remembered seed as every other host, so that the origin sees each byte once', async () => {
    const { url, bytes } = blob(17 * MIB);
    cluster.add('seed', { isSeed: true });
    const engines = ['a', 'b', 'c'].map((name) => cluster.add(name));
    cluster.scheduler.isUp = false;
    const results = await Promise.all(engines.map((engine) => pull(engine, url)));
    expect(results.every((result) => result.equals(bytes))).toBe(true);
    expect(served(url)).toBe(bytes.length);
  });

  it('came back, and sends it to the origin without knowing who is there already, asks the seed that others asked meanwhile', async () => {
    const { url, bytes } = blob(17 * MIB);
    const hold = Promise.withResolvers<void>();
    origin.onChunk = async (_call, position) => {
      if (position >= 8 * MIB) await hold.promise;
    };
    cluster.add('seed', { isSeed: true });
    const [a, b] = [cluster.add('a'), cluster.add('b')];
    cluster.scheduler.isUp = false;
    const pulls = [pull(a, url)];
    await new Promise((resolve) => setTimeout(resolve, 50));
    cluster.scheduler.isUp = cluster.scheduler.isBack = true;
    cluster.scheduler.answer = () => ({ kind: 'backToSource', reason: 'nobody has it' });
    pulls.push(pull(b, url));
    await new Promise((resolve) => setTimeout(resolve, 50));
    hold.resolve();
    for (const result of await Promise.all(pulls)) expect(result.equals(bytes)).toBe(true);
    expect(served(url)).toBe(bytes.length);
  });

  it('dies in the middle goes on with the parents it has', async () => {
    const { url, bytes } = blob(33 * MIB);
    const hold = Promise.withResolvers<void>();
    origin.onChunk = async (_call, position) => {
      if (position >= 8 * MIB) await hold.promise;
    };
    const [a, b] = [cluster.add('a'), cluster.add('b')];
    const pulls = [pull(a, url)];
    await new Promise((resolve) => setTimeout(resolve, 20));
    pulls.push(pull(b, url));
    await new Promise((resolve) => setTimeout(resolve, 20));
    cluster.scheduler.die();
    hold.resolve();
    const results = await Promise.all(pulls);
    expect(results.every((result) => result.equals(bytes))).toBe(true);
    expect(served(url)).toBe(bytes.length);
  });

  it('dies and comes back is told again, with the pieces that are here', async () => {
    const { url, bytes } = blob(33 * MIB);
    const { reached, hold } = pauseOrigin();
    const pulled = pull(cluster.add('a'), url);
    await reached.promise;
    cluster.scheduler.die();
    cluster.scheduler.isUp = true;
    while (cluster.scheduler.registrations.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(cluster.scheduler.registrations[1]?.needBackToSource).toBe(true);
    hold.resolve();
    expect((await pulled).equals(bytes)).toBe(true);
    const reports = cluster.scheduler.reports.get('127.0.0.1-a-a-0');
    const told = new Set(reports?.filter(([what]) => what === 'pieceFinished').map(([, number]) => number));
    expect(told.size).toBe(layoutOf(bytes).pieceCount);
    expect(reports?.at(-1)).toEqual(['backToSourceFinished']);
    expect(served(url)).toBe(bytes.length);
  });

  it('refuses again and again is asked ever more rarely', async () => {
    const { url, bytes } = blob(33 * MIB);
    const { reached, hold } = pauseOrigin();
    const pulled = pull(cluster.add('a'), url);
    await reached.promise;
    cluster.scheduler.isRefusing = true;
    cluster.scheduler.die();
    cluster.scheduler.isUp = true;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    // Every 10 to 30 ms, there were 33 of them at least.
    expect(cluster.scheduler.registrations.length).toBeGreaterThan(2);
    expect(cluster.scheduler.registrations.length).toBeLessThan(20);
    hold.resolve();
    expect((await pulled).equals(bytes)).toBe(true);
    expect(served(url)).toBe(bytes.length);
  });

  it('comes while a download is under way is told of it, and sends nobody to the origin for the same bytes', async () => {
    const { url, bytes } = blob(33 * MIB);
    const { reached, hold } = pauseOrigin();
    cluster.scheduler.isUp = false;
    cluster.scheduler.answer = () => ({ kind: 'backToSource', reason: undefined });
    const [seed, daemon] = [cluster.add('seed', { isSeed: true }), cluster.add('a')];
    const pulled = pull(daemon, url);
    await reached.promise;
    cluster.scheduler.isUp = true;
    while (cluster.scheduler.registrations.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    hold.resolve();
    expect((await pulled).equals(bytes)).toBe(true);
    expect((await pull(seed, url)).equals(bytes)).toBe(true);
    expect(served(url)).toBe(bytes.length);
    const told = Object.fromEntries(cluster.scheduler.registrations.map((one) => [one.hostId, one.needBackToSource]));
    expect(told).toEqual({ seed: true, a: false });
  });

  it('has it fetch what it is fetching unknown to the scheduler hears of it at once', async () => {
    const { url, bytes } = blob(9 * MIB);
    cluster = new FakeCluster(origin, { reconnectMs: 600_000 });
    cluster.scheduler.isUp = false;
    const hold = Promise.withResolvers<void>();
    origin.onChunk = () => hold.promise;
    const seed = cluster.add('seed', { isSeed: true });
    const first = pull(seed, url);
    while (origin.calls.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    cluster.scheduler.isUp = true;
    await using again = await seed.open(requestOf(url, { needBackToSource: true }), { signal });
    while (cluster.scheduler.registrations.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    hold.resolve();
    expect((await read(again)).equals(bytes)).toBe(true);
    expect((await first).equals(bytes)).toBe(true);
    expect(served(url)).toBe(bytes.length);
  });

  it('comes after a download has begun hears of the content at the latest when all of it is here', async () => {
    const { url, bytes } = blob(9 * MIB);
    cluster = new FakeCluster(origin, { reconnectMs: 600_000 });
    cluster.scheduler.isUp = false;
    origin.onChunk = () => Promise.resolve(void (cluster.scheduler.isUp = true));
    expect((await pull(cluster.add('a'), url)).equals(bytes)).toBe(true);
    while (cluster.scheduler.reports.size < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(cluster.scheduler.registrations).toMatchObject([{ metadataOnly: true, contentLength: bytes.length }]);
    expect([...cluster.scheduler.reports.values()]).toEqual([[['started'], ['finished']]]);
  });

  it('has it fetch what it holds hears that before the fetch ends', async () => {
    const { url, bytes } = blob(5 * MIB);
    const seed = cluster.add('seed', { isSeed: true });
    await pull(seed, url);
    await using again = await seed.open(requestOf(url, { needBackToSource: true }), { signal });
    expect(again.fromCache).toBe(true);
    expect(cluster.scheduler.registrations.at(-1)).toMatchObject({ metadataOnly: true, contentLength: bytes.length });
    expect(cluster.scheduler.reports.get('127.0.0.1-seed-seed-1-seed')).toEqual([['started'], ['finished']]);
  });

  it('never answers goes on without it', async () => {
    const { url, bytes } = blob(5 * MIB);
    cluster.scheduler.isSilent = true;
    expect((await pull(cluster.add('a'), url)).equals(bytes)).toBe(true);
  });

  it('sends it to a parent that never has anything ends up at the origin', async () => {
    const { url, bytes } = blob(5 * MIB);
    const idle = cluster.add('idle');
    const never = Promise.withResolvers<void>();
    origin.onChunk = async (call) => {
      if (call.headers['x-idle'] !== undefined) await never.promise;
    };
    const stuck = await idle.open(requestOf(url, { headers: { 'x-idle': '1' } }), { signal });
    expect((await pull(cluster.add('b'), url)).equals(bytes)).toBe(true);
    never.resolve();
    await stuck[Symbol.asyncDispose]();
  });

  it('is gone, with no peer and no leave to ask the origin, fails and says so', async () => {
    const { url } = blob(5 * MIB);
    cluster.scheduler.isUp = false;
    await expect(pull(cluster.add('a'), url, { disableBackToSource: true })).rejects.toMatchObject({
      code: 'TASK_UNAVAILABLE',
    });
  });
});

describe('what others see of a task', () => {
  it('is each piece once, as it arrives', async () => {
    const { url, bytes } = blob(17 * MIB);
    const engine = cluster.add('a');
    const stream = await engine.open(requestOf(url), { signal });
    using watch = engine.watch(stream.taskId);
    const numbers = watch?.finished.map(({ number }) => number) ?? [];
    for await (const { number } of watch?.arriving ?? []) numbers.push(number);
    expect(numbers.sort((a, b) => a - b)).toEqual([...Array(layoutOf(bytes).pieceCount).keys()]);
    await stream[Symbol.asyncDispose]();
  });
});

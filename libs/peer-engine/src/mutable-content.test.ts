import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Secret } from '@d7y/service-kit';
import { forever } from './_slow-transfer.ts';
import { FakeCluster, MIB, requestOf } from './_swarm.ts';
import type { Engine, TaskRequest } from './index.ts';
import { OriginChangedError, OriginUnreachableError, taskIdOfRequest } from './index.ts';
import { MemoryOrigin } from './testing/index.ts';

const URL = 'http://files.test/model.bin';
const signal = new AbortController().signal;
let origin: MemoryOrigin;
let cluster: FakeCluster;

beforeEach(() => {
  origin = new MemoryOrigin();
  cluster = new FakeCluster(origin, { reconnectMs: 20 }, { revalidateMs: 0 });
});

afterEach(async () => {
  await Promise.all([...cluster.engines.values()].map(({ engine }) => engine[Symbol.asyncDispose]()));
});

function put(seed: string, size: number, headers: Readonly<Record<string, string>> = { etag: `"${seed}"` }): Buffer {
  const bytes = createHash('shake256', { outputLength: size }).update(seed).digest();
  origin.put(URL, { bytes, headers });
  return bytes;
}

async function pull(engine: Engine, more: Partial<TaskRequest> = {}): Promise<Buffer> {
  await using stream = await engine.open(requestOf(URL, more), { signal });
  const chunks: Buffer[] = [];
  await stream.deliver((bytes) => Promise.resolve(void chunks.push(Buffer.from(bytes))));
  return Buffer.concat(chunks);
}

const probes = (): number => origin.calls.filter(({ kind }) => kind === 'probe').length;
const storedBy = (name: string) => cluster.engines.get(name)?.store.get(taskIdOfRequest(requestOf(URL)));
const later = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));

describe('content whose URL may come to mean something else', () => {
  it.each([
    ['tag', { etag: '"new"' }, 5 * MIB],
    ['date', { 'last-modified': 'Tue, 02 Jan 2024 00:00:00 GMT' }, 5 * MIB],
    ['length', {}, 5 * MIB + 1],
  ])('weakness 19: is fetched anew when its %s has changed', async (_, headers, size) => {
    const engine = cluster.add('a');
    put('old', 5 * MIB, { etag: '"old"', 'last-modified': 'Mon, 01 Jan 2024 00:00:00 GMT' });
    await pull(engine);
    await later();
    const bytes = put('new', size, headers);
    expect((await pull(engine)).equals(bytes)).toBe(true);
  });

  it('is asked about once for many, and used while it is the same', async () => {
    const bytes = put('same', 5 * MIB);
    const engine = cluster.add('a');
    await pull(engine);
    await later();
    const before = probes();
    const again = await Promise.all([1, 2, 3, 4].map(() => pull(engine)));
    expect(again.every((one) => one.equals(bytes))).toBe(true);
    expect(probes()).toBe(before + 1);
    expect(origin.bytesServed.get(URL)).toBe(bytes.length);
  });

  it('is used without a question for a while', async () => {
    cluster = new FakeCluster(origin, {}, { revalidateMs: 60_000 });
    put('old', 5 * MIB);
    const engine = cluster.add('a');
    const bytes = await pull(engine);
    put('new', 5 * MIB);
    expect((await pull(engine)).equals(bytes)).toBe(true);
    expect(probes()).toBe(1);
  });

  it('is used while its origin is down', async () => {
    const bytes = put('old', 5 * MIB);
    const engine = cluster.add('a');
    await pull(engine);
    await later();
    origin.onCall = () => {
      throw new OriginUnreachableError(URL, 'connection refused');
    };
    expect((await pull(engine)).equals(bytes)).toBe(true);
  });

  it('weakness 19: that changes in the middle fails, never mixes versions, and the retry gets the new one', async () => {
    cluster = new FakeCluster(origin, {}, { originConcurrency: 1 });
    const old = put('old', 33 * MIB);
    const engine = cluster.add('a');
    let isNew = false;
    let bytes = old;
    origin.onChunk = (_call, position) => {
      if (position < 8 * MIB || isNew) return;
      isNew = true;
      bytes = put('new', 33 * MIB);
    };
    // As the client of the real origin does: it is told what is pinned.
    origin.onCall = (call) => {
      if (isNew && call.kind === 'fetch' && call.pinned?.etag === '"old"') throw new OriginChangedError(URL, 'changed');
    };
    await expect(pull(engine)).rejects.toMatchObject({ code: 'ORIGIN_CHANGED' });
    expect(storedBy('a')).toBeUndefined();
    expect((await pull(engine)).equals(bytes)).toBe(true);
  });

  it('is not pinned where a digest decides', async () => {
    const bytes = put('blob', 5 * MIB);
    await pull(cluster.add('a'), { digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` });
    expect(origin.calls.filter(({ kind }) => kind === 'fetch').every(({ pinned }) => pinned === undefined)).toBe(true);
  });
});

describe('the length of content', () => {
  it('weakness 17: is asked for once, however many ask for it first at the same time', async () => {
    put('x', 5 * MIB);
    const engine = cluster.add('a');
    await Promise.all([1, 2, 3, 4, 5, 6].map(() => pull(engine)));
    expect(probes()).toBe(1);
  });

  it('is not asked of the origin by whoever may not ask it anything', async () => {
    const bytes = put('x', 5 * MIB);
    await pull(cluster.add('a'));
    const before = origin.calls.length;
    expect((await pull(cluster.add('b'), { disableBackToSource: true })).equals(bytes)).toBe(true);
    expect(origin.calls).toHaveLength(before);
  });
});

describe('a range', () => {
  const range = { rangeHeader: `bytes=${9 * MIB}-${9 * MIB + 99}` };

  it('weakness 14: that is here does not make the task complete', async () => {
    const bytes = put('x', 20 * MIB);
    const engine = cluster.add('a');
    expect((await pull(engine, range)).equals(bytes.subarray(9 * MIB, 9 * MIB + 100))).toBe(true);
    expect(storedBy('a')?.isComplete).toBe(false);
    await using whole = await engine.open(requestOf(URL), { signal });
    expect(whole.fromCache).toBe(false);
  });

  it('weakness 15: that cannot be satisfied harms neither the task nor those who read it', async () => {
    const bytes = put('x', 9 * MIB);
    const engine = cluster.add('a');
    const hold = Promise.withResolvers<void>();
    origin.onChunk = () => hold.promise;
    const reading = pull(engine);
    await expect(pull(engine, { rangeHeader: `bytes=${9 * MIB}-` })).rejects.toMatchObject({
      code: 'RANGE_NOT_SATISFIABLE',
    });
    hold.resolve();
    expect((await reading).equals(bytes)).toBe(true);
    await expect(pull(engine, { rangeHeader: `bytes=${9 * MIB}-` })).rejects.toMatchObject({ contentLength: 9 * MIB });
    expect(storedBy('a')?.isComplete).toBe(true);
  });

  it('with prefetch brings the whole task, after the range itself', async () => {
    const bytes = put('x', 33 * MIB);
    const engine = cluster.add('a');
    expect((await pull(engine, { ...range, prefetch: true })).length).toBe(100);
    while (storedBy('a')?.isComplete !== true) await later();
    expect((await pull(engine)).equals(bytes)).toBe(true);
    expect(origin.bytesServed.get(URL)).toBe(bytes.length);
    const [first] = origin.calls.filter(({ kind }) => kind === 'fetch');
    expect(first?.range).toEqual({ start: 8 * MIB, length: 4 * MIB });
  });

  it('weakness 24: brings the rest again when an earlier prefetch failed', async () => {
    put('x', 33 * MIB);
    const engine = cluster.add('a');
    origin.onCall = ({ kind, range: asked }) => {
      if (kind === 'fetch' && asked?.start !== 8 * MIB) throw new OriginUnreachableError(URL, 'connection reset');
    };
    await pull(engine, { ...range, prefetch: true });
    while (engine.active().length > 0) await later();
    expect(storedBy('a')?.isComplete).toBe(false);
    origin.onCall = () => undefined;
    await pull(engine, { ...range, prefetch: true });
    while (storedBy('a')?.isComplete !== true) await later();
    expect(cluster.prefetches).toEqual({ started: 2, failed: 1 });
  });

  it('does not wait for the limit of what is fetched ahead', async () => {
    const bytes = put('x', 33 * MIB);
    const never = { take: (_: number, { signal: gone }: { signal: AbortSignal }) => forever(gone) };
    const engine = cluster.add('a', { limits: { prefetch: never } });
    const part = await pull(engine, { ...range, prefetch: true });
    expect(part.equals(bytes.subarray(9 * MIB, 9 * MIB + 100))).toBe(true);
    while (storedBy('a')?.finishedPieces.size !== 1) await later();
  });
});

describe('what a client says of its wishes', () => {
  it('weakness 25: ends all work for it when it leaves: nothing more is fetched from the origin', async () => {
    put('x', 64 * MIB);
    const engine = cluster.add('a');
    const reached = Promise.withResolvers<void>();
    const hold = Promise.withResolvers<void>();
    origin.onChunk = async (_call, _position, { signal: gone }) => {
      reached.resolve();
      await Promise.race([hold.promise, new Promise((resolve) => gone.addEventListener('abort', resolve))]);
    };
    const stream = await engine.open(requestOf(URL), { signal });
    await reached.promise;
    await stream[Symbol.asyncDispose]();
    hold.resolve();
    while (engine.active().length > 0) await later();
    const calls = origin.calls.length;
    const bytes = origin.bytesServed.get(URL) ?? 0;
    await later();
    expect(origin.calls).toHaveLength(calls);
    expect(origin.bytesServed.get(URL) ?? 0).toBe(bytes);
  });

  it('weakness 23: keeps to the smaller of its and the configured number of pieces at a time', async () => {
    put('x', 5 * MIB);
    await pull(cluster.add('a'), { concurrentPieceCount: 2 });
    await pull(cluster.add('b'), { concurrentPieceCount: 200 });
    expect(cluster.scheduler.registrations.map((one) => one.concurrentPieceCount)).toEqual([2, 8]);
  });

  it('changes how content is cut only where that is part of its id', async () => {
    const bytes = put('x', 20 * MIB);
    const blobUrl = `http://registry.test/v2/a/blobs/sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    origin.put(blobUrl, { bytes });
    const engine = cluster.add('a');
    await pull(engine, { requestedPieceLength: 8 * MIB });
    const named = { enableTaskIdBasedBlobDigest: true, requestedPieceLength: 8 * MIB };
    await using _ = await engine.open(requestOf(blobUrl, named), { signal });
    const layouts = [...(cluster.engines.get('a')?.store.list() ?? [])].map(({ layout }) => layout.pieceLength);
    expect(layouts).toEqual([8 * MIB, 4 * MIB]);
    expect(cluster.scheduler.registrations.map((one) => one.requestedPieceLength)).toEqual([8 * MIB, undefined]);
  });

  it.each([
    [false, []],
    [true, ['authorization']],
  ])('tells others its credentials only where that is configured (%s)', async (forwardCredentials, expected) => {
    cluster = new FakeCluster(origin, {}, { forwardCredentials });
    put('x', 5 * MIB);
    await pull(cluster.add('a'), { credentials: { authorization: new Secret('Bearer planted') } });
    expect(Object.keys(cluster.scheduler.registrations[0]?.requestHeaders ?? {})).toEqual(expected);
  });
});

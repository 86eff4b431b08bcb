import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeCluster, MIB, requestOf } from './_swarm.ts';
import type { Engine, StoredTask } from './index.ts';
import { taskIdOfRequest } from './index.ts';
import { MemoryOrigin, MemoryTaskStore } from './testing/index.ts';

const signal = new AbortController().signal;
/** Five pieces: four of 4 MiB, and a rest. */
const BYTES = createHash('shake256', { outputLength: 17 * MIB })
  .update('damaged')
  .digest();
const URL_ = `http://registry.test/v2/app/blobs/sha256:${createHash('sha256').update(BYTES).digest('hex')}`;
const TASK_ID = taskIdOfRequest(requestOf(URL_));
let origin: MemoryOrigin;
let cluster: FakeCluster;
let store: MemoryTaskStore;

beforeEach(() => {
  origin = new MemoryOrigin();
  origin.put(URL_, { bytes: BYTES });
  cluster = new FakeCluster(origin, { starvationMs: 200, reconnectMs: 20 });
  store = new MemoryTaskStore();
});

afterEach(async () => {
  for (const { engine } of cluster.engines.values()) await engine[Symbol.asyncDispose]();
});

const served = (): number => origin.bytesServed.get(URL_) ?? 0;

async function pull(engine: Engine, more = {}): Promise<Buffer> {
  await using stream = await engine.open(requestOf(URL_, more), { signal });
  const chunks: Buffer[] = [];
  await stream.deliver((bytes) => Promise.resolve(void chunks.push(Buffer.from(bytes))));
  return Buffer.concat(chunks);
}

/** An engine that has the content, from before it was started. */
async function restarted(name: string): Promise<{ engine: Engine; stored: StoredTask }> {
  await pull(cluster.add(`${name}-before`, { store }));
  const stored = store.get(TASK_ID);
  if (stored === undefined) throw new Error('it is not here');
  return { engine: cluster.add(name, { store }), stored };
}

const spoil = (stored: StoredTask, position: number): Promise<void> =>
  stored.write(position, [Buffer.alloc(100, (BYTES[position] ?? 0) ^ 0xff)]);

describe('a piece that is damaged on disk', () => {
  it('is fetched again, and nothing else is, when its task is read for the first time since the start', async () => {
    const { engine, stored } = await restarted('a');
    const before = served();
    await spoil(stored, 9 * MIB);
    expect((await pull(engine)).equals(BYTES)).toBe(true);
    expect(served() - before).toBe(4 * MIB);
    expect(stored.isComplete).toBe(true);
    expect((await pull(engine)).equals(BYTES)).toBe(true);
    expect(served() - before).toBe(4 * MIB);
  });

  it('costs nothing where the range that is read does not touch it', async () => {
    const { engine, stored } = await restarted('a');
    const before = served();
    await spoil(stored, 9 * MIB);
    const part = await pull(engine, { rangeHeader: `bytes=${13 * MIB}-${14 * MIB - 1}` });
    expect(part.equals(BYTES.subarray(13 * MIB, 14 * MIB))).toBe(true);
    expect(served()).toBe(before);
  });

  it('gives right bytes to a range that begins within it', async () => {
    const { engine, stored } = await restarted('a');
    await spoil(stored, 9 * MIB);
    const part = await pull(engine, { rangeHeader: `bytes=${8.5 * MIB}-${10 * MIB - 1}` });
    expect(part.equals(BYTES.subarray(8.5 * MIB, 10 * MIB))).toBe(true);
  });

  it('is fetched once for readers that come at the same time', async () => {
    const { engine, stored } = await restarted('a');
    const before = served();
    await spoil(stored, 1 * MIB);
    await spoil(stored, 16.5 * MIB);
    const all = await Promise.all([pull(engine), pull(engine), pull(engine)]);
    for (const bytes of all) expect(bytes.equals(BYTES)).toBe(true);
    expect(served() - before).toBe(5 * MIB);
  });

  it('is fetched with what is missing when the task was not complete', async () => {
    const { engine, stored } = await restarted('a');
    stored.discardPieces([3]);
    const before = served();
    await spoil(stored, 1 * MIB);
    expect((await pull(engine)).equals(BYTES)).toBe(true);
    expect(served() - before).toBe(8 * MIB);
  });

  it('breaks the answer off, rather than giving wrong bytes, when nobody has it', async () => {
    const { engine, stored } = await restarted('a');
    await spoil(stored, 9 * MIB);
    cluster.scheduler.isUp = false;
    const chunks: Buffer[] = [];
    await using stream = await engine.open(requestOf(URL_, { disableBackToSource: true }), { signal });
    const delivery = stream.deliver((bytes) => Promise.resolve(void chunks.push(Buffer.from(bytes))));
    await expect(delivery).rejects.toMatchObject({ code: 'TASK_UNAVAILABLE' });
    const given = Buffer.concat(chunks);
    expect(given.equals(BYTES.subarray(0, given.length))).toBe(true);
  });

  it('is read once more only, however often it is asked for', async () => {
    const { engine, stored } = await restarted('a');
    let bytesRead = 0;
    const read = stored.read.bind(stored);
    stored.read = async (position, target) => {
      const count = await read(position, target);
      bytesRead += count;
      return count;
    };
    await pull(engine);
    expect(bytesRead).toBe(2 * BYTES.length);
    await pull(engine);
    expect(bytesRead).toBe(3 * BYTES.length);
  });
});

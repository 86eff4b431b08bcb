import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { BufferPool, createLogger } from '@d7y/service-kit';
import { ReadAhead } from './read-ahead.ts';
import { type Outlet, ReaderBuffers } from './reader-buffers.ts';

const signal = new AbortController().signal;
const POLICY = { patienceMs: 2_000, stalledMs: 10_000 };

beforeEach(() => void jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] }));
afterEach(() => void jest.useRealTimers());

function buffersOf(large: number, small?: number): { pool: BufferPool; buffers: ReaderBuffers } {
  const pool = new BufferPool({ bufferBytes: 64, maxBuffers: large });
  const reserve = small === undefined ? undefined : new BufferPool({ bufferBytes: 8, maxBuffers: small });
  const logger = createLogger({ name: 'test', level: 'fatal' });
  return { pool, buffers: new ReaderBuffers({ pool, reserve, policy: POLICY, clock: () => Date.now(), logger }) };
}

/** A reader that never takes what it is sent. */
async function stuckReader(
  buffers: ReaderBuffers,
  ahead?: ReadAhead,
): Promise<{ outlet: Outlet; sending: Promise<unknown>; leave: () => void }> {
  const buffer = await buffers.acquire({ signal });
  const gone = Promise.withResolvers<void>();
  const outlet = buffers.open('task');
  const sending = outlet
    .send({ bytes: buffer.bytes, [Symbol.dispose]: () => buffer.release() }, () => gone.promise, ahead)
    .catch((error: unknown) => error);
  return { outlet, sending, leave: () => gone.resolve() };
}

function aheadOf(buffers: ReaderBuffers): ReadAhead {
  const buffer = buffers.tryAcquire();
  return new ReadAhead(Promise.resolve(buffer && { bytes: buffer.bytes, [Symbol.dispose]: () => buffer.release() }));
}

describe('ReaderBuffers', () => {
  it('takes back what was read ahead for a reader that takes nothing', async () => {
    const { pool, buffers } = buffersOf(2);
    const ahead = aheadOf(buffers);
    await stuckReader(buffers, ahead);
    expect(pool.inUse).toBe(2);
    await jest.advanceTimersByTimeAsync(200);
    const buffer = await buffers.acquire({ signal });
    expect(buffer.bytes.length).toBe(64);
    expect(await ahead.take()).toBeUndefined();
  });

  it('leaves what was read ahead to a reader that has only just been sent something', async () => {
    const { buffers } = buffersOf(2, 1);
    const ahead = aheadOf(buffers);
    await stuckReader(buffers, ahead);
    expect((await buffers.acquire({ signal })).bytes.length).toBe(8);
    expect(await ahead.take()).toBeDefined();
  });

  it('lends the large ones first, and the others when those are out', async () => {
    const [large, pool] = [512, 64].map((bufferBytes) => new BufferPool({ bufferBytes, maxBuffers: 1 }));
    const logger = createLogger({ name: 'test', level: 'fatal' });
    const clock = () => Date.now();
    if (pool === undefined) throw new Error('there are two pools');
    const buffers = new ReaderBuffers({ pool, large, reserve: undefined, policy: POLICY, clock, logger });
    const first = await buffers.acquire({ signal });
    const second = await buffers.acquire({ signal });
    expect([first.bytes.length, second.bytes.length]).toEqual([512, 64]);
    const waiting = buffers.acquire({ signal });
    first.release();
    expect((await waiting).bytes.length).toBe(512);
  });

  it('lends small buffers while all others are with readers, and cuts nobody off for that', async () => {
    const { buffers } = buffersOf(1, 2);
    const { outlet } = await stuckReader(buffers);
    await jest.advanceTimersByTimeAsync(60_000);
    expect((await buffers.acquire({ signal })).bytes.length).toBe(8);
    expect(outlet.stuckMs(Date.now())).toBe(60_000);
  });

  it('cuts off the reader that is stalled the longest when somebody has waited, and frees its buffer once it is gone', async () => {
    const { buffers } = buffersOf(2);
    const first = await stuckReader(buffers);
    await jest.advanceTimersByTimeAsync(1_000);
    const second = await stuckReader(buffers);
    await jest.advanceTimersByTimeAsync(20_000);
    let isServed = false;
    const waiting = buffers.acquire({ signal }).then((buffer) => {
      isServed = true;
      return buffer;
    });
    await jest.advanceTimersByTimeAsync(1_900);
    let isFirstCut = false;
    void first.sending.then(() => (isFirstCut = true));
    await jest.advanceTimersByTimeAsync(0);
    expect(isFirstCut).toBe(false);
    await jest.advanceTimersByTimeAsync(500);
    expect(await first.sending).toMatchObject({ code: 'READER_STALLED' });
    // Its socket may still send from the buffer.
    expect(isServed).toBe(false);
    first.leave();
    await waiting;
    expect(second.outlet.stuckMs(Date.now())).toBeGreaterThan(POLICY.stalledMs);
  });

  it('cuts nobody off who has taken something of late', async () => {
    const { buffers } = buffersOf(1);
    const { outlet } = await stuckReader(buffers);
    const waiting = buffers.acquire({ signal });
    await jest.advanceTimersByTimeAsync(9_500);
    expect(outlet.stuckMs(Date.now())).toBe(9_500);
    await jest.advanceTimersByTimeAsync(1_000);
    expect(outlet.stuckMs(Date.now())).toBe(0);
    void waiting;
  });

  it('lets who gives up waiting go, and keeps nothing of it', async () => {
    const { pool, buffers } = buffersOf(1, 1);
    const held = [await buffers.acquire({ signal }), await buffers.acquire({ signal })];
    const abort = new AbortController();
    const waiting = buffers.acquire({ signal: abort.signal });
    abort.abort(new Error('left'));
    await expect(waiting).rejects.toThrow('left');
    for (const buffer of held) buffer.release();
    expect([pool.inUse, pool.waiting]).toEqual([0, 0]);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('gives one buffer to one who waits, also when both kinds come free at once', async () => {
    const { pool, buffers } = buffersOf(1, 1);
    const held = [await buffers.acquire({ signal }), await buffers.acquire({ signal })];
    const waiting = buffers.acquire({ signal });
    for (const buffer of held) buffer.release();
    (await waiting).release();
    expect(pool.inUse).toBe(0);
    expect((await buffers.acquire({ signal })).bytes.length).toBe(64);
    expect((await buffers.acquire({ signal })).bytes.length).toBe(8);
  });
});

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BufferPool } from './buffer-pool.ts';
import type { PooledBuffer } from './buffer-pool.ts';

describe('BufferPool', () => {
  it('never has more buffers than its bound, whatever is acquired, released and given up', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 2 }), { maxLength: 200 }), async (steps) => {
        const pool = new BufferPool({ bufferBytes: 16, maxBuffers: 3 });
        const held = new Set<PooledBuffer>();
        const waits: { abort: AbortController; done: Promise<unknown> }[] = [];
        for (const step of steps) {
          if (step === 0) {
            const abort = new AbortController();
            const done = pool.acquire({ signal: abort.signal }).then(
              (buffer) => held.add(buffer),
              () => undefined,
            );
            waits.push({ abort, done });
          } else if (step === 1) {
            const [buffer] = held;
            if (buffer !== undefined) held.delete(buffer);
            buffer?.release();
          } else waits.at(-1)?.abort.abort();
          await Promise.resolve();
          await Promise.resolve();
          expect(new Set([...held].map(({ bytes }) => bytes)).size).toBe(held.size);
          expect(pool.inUse).toBeLessThanOrEqual(3);
        }
        for (const { abort } of waits) abort.abort();
        await Promise.all(waits.map(({ done }) => done));
        for (const buffer of held) buffer.release();
        expect([pool.inUse, pool.waiting]).toEqual([0, 0]);
      }),
      { numRuns: 50 },
    );
  });

  it('serves those who wait in the order in which they came', async () => {
    const pool = new BufferPool({ bufferBytes: 1, maxBuffers: 1 });
    const first = await pool.acquire();
    const order: number[] = [];
    const waiting = [1, 2, 3].map((number) =>
      pool.acquire().then((buffer) => {
        order.push(number);
        buffer.release();
      }),
    );
    expect(pool.tryAcquire()).toBeUndefined();
    first.release();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3]);
  });

  it('skips a waiter that has given up', async () => {
    const pool = new BufferPool({ bufferBytes: 1, maxBuffers: 1 });
    const first = await pool.acquire();
    const controller = new AbortController();
    const impatient = pool.acquire({ signal: controller.signal });
    const patient = pool.acquire();
    controller.abort(new Error('gave up'));
    await expect(impatient).rejects.toThrow('gave up');
    first.release();
    expect((await patient).bytes).toBe(first.bytes);
  });

  it('lends a buffer to one owner even when it is released twice', async () => {
    const pool = new BufferPool({ bufferBytes: 1, maxBuffers: 2 });
    const once = await pool.acquire();
    once.release();
    once.release();
    const [left, right] = [await pool.acquire(), await pool.acquire()];
    expect(left.bytes).not.toBe(right.bytes);
  });

  it('keeps its buffers outside the JS heap, each in memory of its own', async () => {
    const pool = new BufferPool({ bufferBytes: 1024, maxBuffers: 1 });
    using buffer = await pool.acquire();
    expect(buffer.bytes.buffer.byteLength).toBe(1024);
  });

  it('refuses sizes that are none', () => {
    expect(() => new BufferPool({ bufferBytes: 0, maxBuffers: 1 })).toThrow(RangeError);
    expect(() => new BufferPool({ bufferBytes: 1, maxBuffers: 1.5 })).toThrow(RangeError);
  });
});

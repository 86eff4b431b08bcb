import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { AsyncQueue, QueueFullError } from './async-queue.ts';

async function drain<T>(queue: AsyncQueue<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of queue) items.push(item);
  return items;
}

describe('AsyncQueue', () => {
  it('delivers everything in order, however pushes and reads interleave', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 400 }), async (pushes) => {
        const queue = new AsyncQueue<number>(1_000);
        const iterator = queue[Symbol.asyncIterator]();
        const reads: Promise<IteratorResult<number, undefined>>[] = [];
        let pushed = 0;
        for (const isPush of pushes) {
          if (isPush) queue.push(pushed++);
          else reads.push(iterator.next());
        }
        queue.close();
        const early = (await Promise.all(reads)).filter(({ done }) => done !== true).map(({ value }) => value);
        expect([...early, ...(await drain(queue))]).toEqual(Array.from({ length: pushed }, (_, index) => index));
      }),
    );
  });

  it('refuses more than its capacity', () => {
    const queue = new AsyncQueue<number>(2);
    queue.push(1);
    queue.push(2);
    expect(() => queue.push(3)).toThrow(QueueFullError);
  });

  it('makes a patient producer wait for room', async () => {
    const queue = new AsyncQueue<number>(1);
    queue.push(1);
    let isIn = false;
    const waiting = queue.pushWhenRoom(2).then(() => (isIn = true));
    await Promise.resolve();
    expect(isIn).toBe(false);
    const iterator = queue[Symbol.asyncIterator]();
    await iterator.next();
    await waiting;
    expect(await iterator.next()).toEqual({ done: false, value: 2 });
  });

  it('lets a producer that waits for room give up', async () => {
    const queue = new AsyncQueue<number>(1);
    queue.push(1);
    const controller = new AbortController();
    const waiting = queue.pushWhenRoom(2, { signal: controller.signal });
    controller.abort(new Error('no more'));
    await expect(waiting).rejects.toThrow('no more');
  });

  it('delivers what waits after close, and drops what is pushed then', async () => {
    const queue = new AsyncQueue<number>(4);
    queue.push(1);
    queue.close();
    expect(queue.push(2)).toBe(false);
    expect(await drain(queue)).toEqual([1]);
  });

  it('ends a reader that waits when closed', async () => {
    const queue = new AsyncQueue<number>(1);
    const reading = drain(queue);
    queue.close();
    expect(await reading).toEqual([]);
  });

  it('throws the error once, whether the reader waits or comes later, and drops what waited', async () => {
    const waiting = new AsyncQueue<number>(1);
    const reading = drain(waiting);
    waiting.fail(new Error('broken'));
    await expect(reading).rejects.toThrow('broken');

    const later = new AsyncQueue<number>(1);
    later.push(1);
    later.fail(new Error('broken'));
    await expect(drain(later)).rejects.toThrow('broken');
    expect(await drain(later)).toEqual([]);
  });

  it('can be broken off by whoever reads it, as Connect does with a request stream', async () => {
    const queue = new AsyncQueue<number>(1);
    queue.push(1);
    await expect(queue[Symbol.asyncIterator]().throw?.(new Error('cancelled'))).rejects.toThrow('cancelled');
    expect(queue.isClosed).toBe(true);
  });

  it('closes when its reader leaves, releasing producers', async () => {
    const queue = new AsyncQueue<number>(1);
    queue.push(1);
    const waiting = queue.pushWhenRoom(2);
    for await (const _ of queue) break;
    expect(queue.isClosed).toBe(true);
    expect(typeof (await waiting)).toBe('boolean');
    expect(queue.push(3)).toBe(false);
  });
});

import { describe, expect, it } from '@jest/globals';
import { AsyncQueue } from './async-queue.ts';
import { untilAborted } from './until-aborted.ts';

describe('untilAborted', () => {
  it('ends while a value is awaited, and tells the source', async () => {
    const source = new AsyncQueue<number>(4);
    source.push(1);
    const controller = new AbortController();
    const seen: number[] = [];
    for await (const item of untilAborted(source, controller.signal)) {
      seen.push(item);
      queueMicrotask(() => controller.abort());
    }
    expect(seen).toEqual([1]);
    expect(source.isClosed).toBe(true);
  });

  it('passes everything on when nothing is aborted', async () => {
    const source = new AsyncQueue<number>(4);
    source.push(1);
    source.push(2);
    source.close();
    const seen: number[] = [];
    for await (const item of untilAborted(source, new AbortController().signal)) seen.push(item);
    expect(seen).toEqual([1, 2]);
  });

  it('reads nothing when the signal is aborted already', async () => {
    for await (const _ of untilAborted(new AsyncQueue(1), AbortSignal.abort())) throw new Error('read');
  });
});

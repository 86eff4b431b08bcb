import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { getEventListeners } from 'node:events';
import { RateLimiter } from './rate-limiter.ts';

const { signal } = new AbortController();

describe('RateLimiter', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());
  const create = (bytesPerSec: number, burstBytes?: number): RateLimiter =>
    new RateLimiter({ bytesPerSec, burstBytes, clock: () => Date.now() });

  it('costs no promise while nothing is owed', () => {
    const limiter = create(1000, 100);
    expect(limiter.take(60, { signal })).toBeUndefined();
    expect(limiter.take(60, { signal })).toBeUndefined();
    expect(limiter.take(1, { signal })).toBeInstanceOf(Promise);
  });

  it('weakness 37: keeps to its rate, refilling continuously', async () => {
    const limiter = create(1000, 100);
    let passed = 0;
    const draw = async (): Promise<void> => {
      for (;;) {
        await limiter.take(10, { signal });
        passed += 10;
      }
    };
    void draw();
    await jest.advanceTimersByTimeAsync(50);
    expect(passed).toBeGreaterThanOrEqual(140);
    expect(passed).toBeLessThanOrEqual(170);
    await jest.advanceTimersByTimeAsync(10_000);
    expect(passed).toBeGreaterThanOrEqual(10_100);
    expect(passed).toBeLessThanOrEqual(10_170);
  });

  it('saves up no more than its burst', async () => {
    const limiter = create(1000, 100);
    await jest.advanceTimersByTimeAsync(60_000);
    expect(limiter.take(101, { signal })).toBeUndefined();
    expect(limiter.take(1, { signal })).toBeInstanceOf(Promise);
  });

  it('lets a chunk larger than the burst pass, and has the next ones pay for it', async () => {
    const limiter = create(1000, 100);
    expect(limiter.take(1100, { signal })).toBeUndefined();
    let isThrough = false;
    void limiter.take(1, { signal })?.then(() => (isThrough = true));
    await jest.advanceTimersByTimeAsync(990);
    expect(isThrough).toBe(false);
    await jest.advanceTimersByTimeAsync(20);
    expect(isThrough).toBe(true);
  });

  it('shares evenly between those who draw chunk after chunk', async () => {
    const limiter = create(10_000, 100);
    const passed = [0, 0, 0];
    const draw = async (index: number): Promise<void> => {
      for (;;) {
        await limiter.take(100, { signal });
        passed[index] = (passed[index] ?? 0) + 100;
      }
    };
    for (const index of passed.keys()) void draw(index);
    await jest.advanceTimersByTimeAsync(3_000);
    for (const bytes of passed) expect(Math.abs(bytes - 10_000)).toBeLessThan(300);
  });

  it('forgets who gives up: those behind it move up, and nothing stays behind', async () => {
    const limiter = create(1000, 0);
    expect(limiter.take(500, { signal })).toBeUndefined();
    const controller = new AbortController();
    const given = limiter.take(60_000, { signal: controller.signal });
    let isThrough = false;
    void limiter.take(1, { signal })?.then(() => (isThrough = true));
    controller.abort(new Error('enough'));
    await expect(given).rejects.toThrow('enough');
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    await jest.advanceTimersByTimeAsync(510);
    expect(isThrough).toBe(true);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('refuses a signal that is aborted already', () => {
    expect(() => create(1000).take(1, { signal: AbortSignal.abort(new Error('before')) })).toThrow('before');
  });

  it('refuses a rate at which nothing would ever pass', () => {
    expect(() => create(0)).toThrow(RangeError);
  });
});

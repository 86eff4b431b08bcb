import { describe, expect, it } from '@jest/globals';
import { getEventListeners } from 'node:events';
import { TimeoutError, withTimeout } from './with-timeout.ts';

const never = () => new Promise<never>(() => undefined);

describe('withTimeout', () => {
  it('gives the result when that comes in time', async () => {
    await expect(withTimeout(Promise.resolve(7), 60_000, 'seven')).resolves.toBe(7);
  });

  it('names what timed out, and aborts the work with that error', async () => {
    let seen: AbortSignal | undefined;
    const waiting = withTimeout((signal) => ((seen = signal), never()), 5, 'dial 10.0.0.7:4000');
    await expect(waiting).rejects.toThrow('dial 10.0.0.7:4000: no result within 5 ms');
    await expect(waiting).rejects.toMatchObject({ code: 'TIMEOUT', retryable: true, timeoutMs: 5 });
    expect(seen?.reason).toBeInstanceOf(TimeoutError);
  });

  it('ends with the outer signal, whose reason it passes on, and leaves it', async () => {
    const outer = new AbortController();
    const waiting = withTimeout(never(), 60_000, 'nothing', { signal: outer.signal });
    outer.abort(new Error('stopped'));
    await expect(waiting).rejects.toThrow('stopped');
    expect(getEventListeners(outer.signal, 'abort')).toHaveLength(0);
  });

  it('observes work that fails after its time', async () => {
    const late = Promise.withResolvers<never>();
    await expect(withTimeout(late.promise, 1, 'late')).rejects.toBeInstanceOf(TimeoutError);
    late.reject(new Error('late failure')); // would end the test process if nobody had it
  });
});

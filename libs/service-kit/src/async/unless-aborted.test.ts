import { describe, expect, it } from '@jest/globals';
import { unlessAborted } from './unless-aborted.ts';

describe('unlessAborted', () => {
  it('gives what the work gives, and throws what it throws', async () => {
    const { signal } = new AbortController();
    expect(await unlessAborted(Promise.resolve(1), signal)).toBe(1);
    await expect(unlessAborted(Promise.reject(new Error('failed')), signal)).rejects.toThrow('failed');
  });

  it('waits no longer than the signal allows, whatever becomes of the work', async () => {
    const controller = new AbortController();
    const { promise, reject } = Promise.withResolvers<never>();
    const waiting = unlessAborted(promise, controller.signal);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    reject(new Error('later'));
    await expect(unlessAborted(new Promise(() => undefined), controller.signal)).rejects.toThrow('enough');
  });
});

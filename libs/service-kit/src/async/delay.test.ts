import { describe, expect, it } from '@jest/globals';
import { getEventListeners } from 'node:events';
import { delay } from './delay.ts';

describe('delay', () => {
  it('resolves after its time and leaves no listener behind', async () => {
    const { signal } = new AbortController();
    await delay(1, { signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('rejects with the reason of the signal when that is aborted meanwhile', async () => {
    const controller = new AbortController();
    const waiting = delay(60_000, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });

  it('rejects at once when the signal is aborted already', async () => {
    await expect(delay(60_000, { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before');
  });
});

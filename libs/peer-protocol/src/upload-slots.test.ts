import { describe, expect, it } from '@jest/globals';
import { UploadSlots } from './upload-slots.ts';

const NEVER = new AbortController().signal;

describe('UploadSlots', () => {
  it('passes a slot on in the order of coming', async () => {
    const slots = new UploadSlots({ maxRunning: 1, maxWaiting: 2 });
    const first = await slots.take({ signal: NEVER });
    const order: string[] = [];
    const second = slots.take({ signal: NEVER }).then((slot) => (order.push('second'), slot));
    const third = slots.take({ signal: NEVER }).then((slot) => (order.push('third'), slot));
    expect(await slots.take({ signal: NEVER })).toBeUndefined();
    first?.[Symbol.dispose]();
    (await second)?.[Symbol.dispose]();
    (await third)?.[Symbol.dispose]();
    expect(order).toEqual(['second', 'third']);
    expect(slots.running).toBe(0);
  });

  it('forgets who stops waiting', async () => {
    const slots = new UploadSlots({ maxRunning: 1, maxWaiting: 1 });
    const first = await slots.take({ signal: NEVER });
    const controller = new AbortController();
    const second = slots.take({ signal: controller.signal });
    controller.abort(new Error('left'));
    await expect(second).rejects.toThrow('left');
    const third = slots.take({ signal: NEVER });
    first?.[Symbol.dispose]();
    (await third)?.[Symbol.dispose]();
    expect(slots.running).toBe(0);
  });
});

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { UploadSlots } from './upload-slots.ts';

const NEVER = new AbortController().signal;
const OPTIONS = { maxTurns: 1, turnMs: 1_000, maxRunning: 3, maxWaiting: 5 };

/** Slots, and uploads by name (their child is the first letter) in the order in which they began. */
function setUp(options: Partial<typeof OPTIONS> = {}) {
  const slots = new UploadSlots({ ...OPTIONS, ...options });
  const begun: string[] = [];
  const ends = new Map<string, Disposable>();
  const take = async (name: string, { isSmall = false, signal = NEVER } = {}): Promise<boolean> => {
    const slot = await slots.take({ child: name.charAt(0), isSmall }, { signal });
    if (slot === undefined) return false;
    begun.push(name);
    ends.set(name, slot);
    return true;
  };
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.[Symbol.dispose]();
    await jest.advanceTimersByTimeAsync(0);
  };
  return { slots, begun, take, end };
}

describe('UploadSlots', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  it('lets children take turns, and keeps the order of each', async () => {
    const { slots, begun, take, end } = setUp();
    for (const name of ['a1', 'a2', 'a3', 'b1', 'c1']) void take(name);
    await jest.advanceTimersByTimeAsync(0);
    for (const name of ['a1', 'a2', 'b1', 'c1']) await end(name);
    expect(begun).toEqual(['a1', 'a2', 'b1', 'c1', 'a3']);
    await end('a3');
    expect(slots.running).toBe(0);
  });

  it('turns away who comes when too many wait', async () => {
    const { take } = setUp({ maxWaiting: 1 });
    await take('a1');
    void take('a2');
    expect(await take('b1')).toBe(false);
  });

  it('lets the next begin when an upload takes long, up to a number in all', async () => {
    const { begun, take } = setUp();
    for (const name of ['a1', 'b1', 'c1', 'd1']) void take(name);
    await jest.advanceTimersByTimeAsync(999);
    expect(begun).toEqual(['a1']);
    await jest.advanceTimersByTimeAsync(1);
    expect(begun).toEqual(['a1', 'b1']);
    await jest.advanceTimersByTimeAsync(5_000);
    expect(begun).toEqual(['a1', 'b1', 'c1']);
  });

  it('lets small uploads pass those that wait', async () => {
    const { begun, take } = setUp();
    await take('a1');
    void take('a2');
    await take('a3', { isSmall: true });
    expect(begun).toEqual(['a1', 'a3']);
  });

  it('forgets who stops waiting', async () => {
    const { slots, begun, take, end } = setUp({ maxWaiting: 1 });
    await take('a1');
    const controller = new AbortController();
    const second = take('a2', { signal: controller.signal });
    controller.abort(new Error('left'));
    await expect(second).rejects.toThrow('left');
    void take('a3');
    await end('a1');
    expect(begun).toEqual(['a1', 'a3']);
    await end('a3');
    expect(slots.running).toBe(0);
  });
});

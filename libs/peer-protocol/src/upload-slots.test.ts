import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { UploadSlots, type UploadTurn } from './upload-slots.ts';

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

describe('UploadSlots with turns that are offered', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  it('keeps a turn for a child whatever others ask meanwhile', async () => {
    const { slots, begun, take, end } = setUp();
    const taken = jest.fn();
    expect(slots.reserve('a', taken)).toBeDefined();
    void take('b1');
    await jest.advanceTimersByTimeAsync(0);
    expect(begun).toEqual([]);
    void take('a1');
    await jest.advanceTimersByTimeAsync(0);
    expect([begun, taken.mock.calls.length]).toEqual([['a1'], 1]);
    await end('a1');
    expect(begun).toEqual(['a1', 'b1']);
  });

  it('gives a turn that was not taken to who asks', async () => {
    const { slots, begun, take } = setUp();
    const kept = slots.reserve('a', () => undefined);
    void take('b1');
    kept?.[Symbol.dispose]();
    kept?.[Symbol.dispose]();
    await jest.advanceTimersByTimeAsync(0);
    expect(begun).toEqual(['b1']);
    expect(slots.mayOffer).toBe(false);
  });

  it('offers a turn and serves who waits, one after the other', async () => {
    const { slots, begun, take, end } = setUp();
    const offers: string[] = [];
    slots.offerTo(() => {
      if (slots.reserve('o', () => undefined) !== undefined) offers.push(`after ${begun.at(-1)}`);
    });
    for (const name of ['a1', 'b1', 'c1']) void take(name);
    await jest.advanceTimersByTimeAsync(0);
    await end('a1');
    expect([begun, offers]).toEqual([['a1'], ['after a1']]);
    void take('o1');
    await jest.advanceTimersByTimeAsync(0);
    await end('o1');
    expect(begun).toEqual(['a1', 'o1', 'b1']);
    await end('b1');
    expect(offers).toHaveLength(2);
  });

  it('offers one turn at a time, more only when what is sent does not fill the link', async () => {
    let use = 1;
    const slots = new UploadSlots({ ...OPTIONS, maxTurns: 4, clock: () => Date.now(), use: () => use });
    expect(slots.reserve('a', () => undefined)).toBeDefined();
    expect(slots.reserve('b', () => undefined)).toBeUndefined();
    using _upload = await slots.take({ child: 'a', isSmall: false }, { signal: NEVER });
    await jest.advanceTimersByTimeAsync(600);
    expect(slots.mayOffer).toBe(false);
    use = 0.2;
    expect(slots.reserve('b', () => undefined)).toBeDefined();
  });

  it.each([
    [10, 1],
    [40, 2],
    [1_000, 4],
  ])('with answers after %d ms and pieces of 100 ms has %d turns under way', async (answerMs, atOnce) => {
    const slots = new UploadSlots({ ...OPTIONS, maxTurns: 9, maxRunning: 9, clock: () => Date.now() });
    slots.offerTo(
      () => undefined,
      () => answerMs,
    );
    const first = await slots.take({ child: 'a', isSmall: false }, { signal: NEVER });
    await jest.advanceTimersByTimeAsync(100);
    first?.endTurn();
    first?.[Symbol.dispose]();
    const reserved = ['a', 'b', 'c', 'd', 'e'].filter((child) => slots.reserve(child, () => undefined) !== undefined);
    expect(reserved).toHaveLength(atOnce);
  });

  /** Has a child take a turn that it is offered. */
  async function taken(slots: UploadSlots, child: string) {
    let turn: UploadTurn | undefined;
    expect(slots.reserve(child, (its) => void (turn = its))).toBeDefined();
    const slot = await slots.take({ child, isSmall: false }, { signal: NEVER });
    if (slot === undefined || turn === undefined) throw new Error('a turn that was kept is taken');
    return { slot, turn };
  }

  it('offers one turn before the one before it is over, and no more', async () => {
    const slots = new UploadSlots({ ...OPTIONS, maxRunning: 9 });
    const first = await taken(slots, 'a');
    first.turn.endsIn(0);
    const second = await taken(slots, 'b');
    second.turn.endsIn(0);
    expect(slots.mayOffer).toBe(false);
    first.slot[Symbol.dispose]();
    expect(slots.mayOffer).toBe(true);
  });

  it('holds an offered turn until its child has nearly all of it, whatever the kernel has taken', async () => {
    const slots = new UploadSlots({ ...OPTIONS, clock: () => Date.now() });
    slots.offerTo(
      () => undefined,
      () => 10,
    );
    const { slot, turn } = await taken(slots, 'a');
    slot.endTurn();
    slot.sent();
    slot[Symbol.dispose]();
    expect([slots.mayOffer, slots.running]).toEqual([false, 0]);
    await jest.advanceTimersByTimeAsync(100);
    turn.endsIn(50);
    // The next one is offered one and a half times as long before as answers take.
    await jest.advanceTimersByTimeAsync(34);
    expect(slots.mayOffer).toBe(false);
    await jest.advanceTimersByTimeAsync(1);
    expect(slots.mayOffer).toBe(true);
  });

  it('gives an offered turn back whose upload broke off, and one of which nothing is heard for long', async () => {
    const slots = new UploadSlots(OPTIONS);
    const broken = await taken(slots, 'a');
    broken.slot[Symbol.dispose]();
    expect(slots.mayOffer).toBe(true);
    const silent = await taken(slots, 'b');
    silent.slot.sent();
    silent.slot[Symbol.dispose]();
    await jest.advanceTimersByTimeAsync(OPTIONS.turnMs - 1);
    expect(slots.mayOffer).toBe(false);
    await jest.advanceTimersByTimeAsync(1);
    expect(slots.mayOffer).toBe(true);
  });

  it.each(['before', 'after'])(
    'ends the turn of a child that asked unasked when all is sent, told so %s that',
    async (when) => {
      const slots = new UploadSlots(OPTIONS);
      const { slot, turn } = await taken(slots, 'a');
      if (when === 'before') turn.endsWhenSent();
      slot.sent();
      slot[Symbol.dispose]();
      if (when === 'after') {
        expect(slots.mayOffer).toBe(false);
        turn.endsWhenSent();
      }
      expect(slots.mayOffer).toBe(true);
    },
  );

  it('lets the next upload begin when one is nearly over', async () => {
    const { slots, begun, take } = setUp();
    const slot = await slots.take({ child: 'a', isSmall: false }, { signal: NEVER });
    void take('b1');
    await jest.advanceTimersByTimeAsync(0);
    expect(begun).toEqual([]);
    slot?.endTurn();
    await jest.advanceTimersByTimeAsync(0);
    expect([begun, slots.running]).toEqual([['b1'], 2]);
    slot?.[Symbol.dispose]();
    expect(slots.running).toBe(1);
  });
});

import { describe, expect, it, jest } from '@jest/globals';
import { Admission } from './admission.ts';
import { StreamQuota } from './overload.ts';

const { signal } = new AbortController();

describe('Admission', () => {
  /** Time that moves only when told to, with the ticks that belong to it. */
  const start = (options: { perSecond: number; maxWaiting?: number }) => {
    jest.useFakeTimers();
    let nowMs = 0;
    const admission = new Admission({ ...options, clock: () => nowMs, tickMs: 10, maxTurnMs: 100 });
    const pass = async (ms: number) => {
      for (const end = nowMs + ms; nowMs < end;) {
        nowMs += 10;
        await jest.advanceTimersByTimeAsync(10);
      }
    };
    const work = (ms: number) => void (nowMs += ms);
    return {
      admission,
      pass,
      work,
      [Symbol.dispose]: () => {
        admission[Symbol.dispose]();
        jest.useRealTimers();
      },
    };
  };

  it('turns down stock clients that come too fast, and has ours wait for their turn', async () => {
    using rig = start({ perSecond: 10 });
    for (let count = 0; count < 9; count++) expect(rig.admission.registration(false, { signal })).toBeUndefined();
    rig.admission.call();
    expect(() => rig.admission.call()).toThrow('more than 10 calls a second');
    expect(() => rig.admission.registration(false, { signal })).toThrow('more than 10 calls a second');
    const entered: number[] = [];
    for (const number of [1, 2]) void rig.admission.registration(true, { signal })?.then(() => entered.push(number));
    await rig.pass(50);
    expect(entered).toEqual([]);
    await rig.pass(60);
    expect(entered).toEqual([1]);
    await rig.pass(100);
    expect(entered).toEqual([1, 2]);
    expect(rig.admission.counts).toEqual({ waiting: 0, refused: 2, delayed: 2 });
  });

  it('has everybody wait for the next turn when one has taken long, instead of turning anybody down', async () => {
    using rig = start({ perSecond: 10_000 });
    expect(rig.admission.registration(false, { signal })).toBeUndefined();
    rig.work(150);
    const entered: string[] = [];
    void rig.admission.registration(false, { signal })?.then(() => entered.push('stock'));
    void rig.admission.registration(true, { signal })?.then(() => entered.push('ours'));
    expect(rig.admission.counts.waiting).toBe(2);
    void rig.admission.turn({ signal })?.then(() => entered.push('on a link'));
    // Unary calls such as health checks are answered all the time.
    rig.admission.call();
    await rig.pass(10);
    expect(entered).toEqual(['stock', 'ours', 'on a link']);
    expect(rig.admission.turn({ signal })).toBeUndefined();
  });

  it('forgets those who leave, and lets no more wait than it can remember', async () => {
    using rig = start({ perSecond: 1, maxWaiting: 1 });
    rig.admission.call();
    const leaving = new AbortController();
    const waiting = rig.admission.registration(true, leaving);
    expect(() => rig.admission.registration(true, { signal })).toThrow('calls a second');
    leaving.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    await rig.pass(10);
    expect(rig.admission.counts.waiting).toBe(0);
  });
});

describe('StreamQuota', () => {
  it('lets one host open so many streams, and others theirs', () => {
    const quota = new StreamQuota(2);
    quota.enter('a');
    {
      using _second = quota.enter('a');
      expect(() => quota.enter('a')).toThrow('2 streams open');
      quota.enter('b');
    }
    quota.enter('a');
  });
});

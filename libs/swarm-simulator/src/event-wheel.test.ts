import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { EventWheel } from './event-wheel.ts';

describe('EventWheel', () => {
  it('hands out every event at its time, in the order in which it was set, also after moves and cancels', () => {
    const step = fc.record({ event: fc.nat(19), delay: fc.nat(100), isCancelled: fc.boolean(), wait: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const wheel = new EventWheel(4, { spokes: 32 });
        wheel.grow(20);
        const model = new Map<number, number>();
        let tick = 0;
        const passTo = (end: number): void => {
          for (; tick <= end; tick++) {
            const due = [...model].filter(([, at]) => at === tick).map(([event]) => event);
            for (const event of due) model.delete(event);
            const taken: number[] = [];
            for (let event = wheel.take(tick); event >= 0; event = wheel.take(tick)) taken.push(event);
            expect(taken.sort((a, b) => a - b)).toEqual(due.sort((a, b) => a - b));
          }
        };
        for (const { event, delay, isCancelled, wait } of steps) {
          passTo(tick + wait);
          if (isCancelled) {
            wheel.cancel(event);
            model.delete(event);
          } else {
            wheel.set(event, tick + delay);
            model.set(event, tick + delay);
          }
          expect(wheel.size).toBe(model.size);
        }
        passTo(tick + 200);
        expect(wheel.size).toBe(0);
      }),
    );
  });

  it('keeps the order in which events of one tick were set', () => {
    const wheel = new EventWheel(3);
    for (const event of [2, 0, 1]) wheel.set(event, 5);
    expect([wheel.take(5), wheel.take(5), wheel.take(5), wheel.take(5)]).toEqual([2, 0, 1, -1]);
  });
});

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { TurnRoster } from './turn-roster.ts';

const random = () => 0.99;

const holder = (more: Partial<{ restingSinceMs: number; fresh: string }> = {}) => ({
  restingSinceMs: more.restingSinceMs ?? 0,
  isFresh: (taskId: string) => taskId === more.fresh,
});

describe('TurnRoster', () => {
  it('gives the turn to a child that receives nothing before one that receives too little', () => {
    const roster = new TurnRoster<string>({ random });
    for (const child of ['a', 'b', 'c']) roster.follows(child, 't', true, 0);
    roster.levelIs('a', 'open', 0);
    roster.levelIs('b', 'idle', 10);
    roster.levelIs('c', 'full', 0);
    const order = [1, 2, 3].map(() => roster.next(20, holder({ restingSinceMs: 20 }))?.child);
    expect(order).toEqual(['b', 'a', undefined]);
  });

  it('draws one of equals, and takes first who has waited for long', () => {
    const draw = (value: number): string | undefined => {
      const roster = new TurnRoster<string>({ random: () => value, starvingMs: 100 });
      for (const child of ['a', 'b']) roster.follows(child, 't', true, 0);
      roster.levelIs('a', 'idle', 0);
      roster.levelIs('b', 'idle', 50);
      return roster.next(value === 1 ? 120 : 60, holder())?.child;
    };
    expect([draw(0), draw(0.9)]).toEqual(['b', 'a']);
    expect(draw(1)).toBe('a');
  });

  it('passes over children that want nothing which is here, or follow nothing any more', () => {
    const roster = new TurnRoster<string>({ random });
    for (const child of ['a', 'b']) roster.levelIs(child, 'idle', 0);
    roster.follows('a', 't', false, 0);
    roster.follows('b', 't', true, 0);
    roster.unfollows('b', 't');
    expect(roster.next(1000, holder())).toBeUndefined();
    expect([roster.followers, roster.hasWishes]).toEqual([1, false]);
  });

  it('offers a child that receives something only what nobody else has, or a turn that has been at rest for long', () => {
    const roster = new TurnRoster<string>({ random, restMs: 100 });
    roster.follows('a', 't', true, 0);
    roster.levelIs('a', 'full', 0);
    expect(roster.next(50, holder())).toBeUndefined();
    expect(roster.next(50, holder({ fresh: 't' }))).toMatchObject({ child: 'a', reason: 'fresh' });
    roster.settled('a', true, 60);
    expect(roster.next(150, holder())).toMatchObject({ child: 'a', reason: 'resting' });
  });

  it('offers a child first what nobody else has', () => {
    const roster = new TurnRoster<string>({ random });
    for (const task of ['s', 't', 'u']) roster.follows('a', task, true, 0);
    roster.levelIs('a', 'idle', 0);
    expect(roster.next(1, holder({ fresh: 't' }))).toEqual({ child: 'a', taskId: 't', reason: 'turn' });
    roster.settled('a', false, 2);
    roster.levelIs('a', 'idle', 2);
    expect(roster.next(3, holder())).toEqual({ child: 'a', taskId: 's', reason: 'turn' });
  });

  it('offers nothing more to a child that turned an offer down until it says something', () => {
    const roster = new TurnRoster<string>({ random });
    roster.follows('a', 't', true, 0);
    roster.levelIs('a', 'idle', 0);
    expect(roster.next(1, holder())?.child).toBe('a');
    roster.settled('a', false, 2);
    expect(roster.next(3, holder())).toBeUndefined();
    roster.levelIs('a', 'idle', 4);
    expect(roster.next(5, holder())?.child).toBe('a');
  });

  it('goes by what a child says of itself after it took an offer, and not before others that wait', () => {
    const roster = new TurnRoster<string>({ random, starvingMs: 100 });
    for (const child of ['a', 'b']) {
      roster.follows(child, 't', true, 0);
      roster.levelIs(child, 'open', child === 'a' ? 0 : 50);
    }
    expect(roster.next(120, holder())?.child).toBe('a');
    roster.settled('a', true, 130);
    expect(roster.next(160, holder())?.child).toBe('b');
    expect(roster.next(160, holder())?.child).toBe('a');
    roster.settled('a', true, 170);
    roster.levelIs('a', 'full', 171);
    expect(roster.next(172, holder({ restingSinceMs: 172 }))).toBeUndefined();
  });

  it('takes the tasks of a child in turn', () => {
    const roster = new TurnRoster<string>({ random });
    for (const task of ['s', 't']) roster.follows('a', task, true, 0);
    const tasks = [0, 1, 2].map((nowMs) => {
      roster.levelIs('a', 'idle', nowMs);
      const next = roster.next(nowMs, holder({ restingSinceMs: nowMs }));
      roster.settled('a', true, nowMs);
      return next?.taskId;
    });
    expect(tasks).toEqual(['s', 't', 's']);
  });

  it('follows so many tasks of a child and no more', () => {
    const roster = new TurnRoster<string>({ random, maxTasks: 2 });
    expect(['s', 't', 'u', 't'].map((task) => roster.follows('a', task, true, 0))).toEqual([true, true, false, true]);
  });

  it('never has two offers out to a child, nor one to a child that left, whatever happens', () => {
    const event = fc.tuple(
      fc.constantFrom('idle', 'open', 'full', 'want', 'lack', 'over', 'left', 'taken', 'passed', 'next'),
      fc.constantFrom('a', 'b', 'c'),
      fc.constantFrom('s', 't'),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const roster = new TurnRoster<string>({ random, restMs: 3 });
        const out = new Set<string>();
        const gone = new Set(['a', 'b', 'c']);
        for (const [nowMs, [what, child, task]] of events.entries()) {
          if (what === 'left') {
            roster.left(child);
            out.delete(child);
            gone.add(child);
          } else if (what === 'taken' || what === 'passed') {
            roster.settled(child, what === 'taken', nowMs);
            out.delete(child);
          } else if (what === 'next') {
            const next = roster.next(nowMs, holder({ fresh: 's' }));
            if (next === undefined) continue;
            expect(out.has(next.child) || gone.has(next.child)).toBe(false);
            out.add(next.child);
          } else {
            gone.delete(child);
            if (what === 'want' || what === 'lack') roster.follows(child, task, what === 'want', nowMs);
            else if (what === 'over') roster.unfollows(child, task);
            else roster.levelIs(child, what, nowMs);
          }
        }
      }),
    );
  });
});

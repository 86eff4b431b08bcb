import { describe, expect, it, jest } from '@jest/globals';
import type { OriginTurn } from './origin-turns.ts';
import { OriginTurns } from './origin-turns.ts';

const ORIGIN = 'https://registry.test';

/** Downloads that ask again whenever a turn is over, and the order in which they begin. */
function rig(turns = new OriginTurns()) {
  const begun: string[] = [];
  const open = new Map<string, OriginTurn>();
  const ask = (name: string, missing = 1, origin = ORIGIN) =>
    turns.ask(origin, {
      missingBytes: () => missing,
      begin: (turn) => {
        begun.push(name);
        open.set(name, turn);
      },
    });
  const end = (name: string) => open.get(name)?.[Symbol.dispose]();
  return { begun, open, ask, end };
}

describe('OriginTurns', () => {
  it('lets one at a time begin, the one that needs the least before others', () => {
    const { begun, ask, end } = rig();
    ask('first', 9);
    ask('large', 8);
    ask('small', 2);
    expect(begun).toEqual(['first']);
    end('first');
    end('small');
    expect(begun).toEqual(['first', 'small', 'large']);
  });

  it('lets one that needs much begin now and then, however many come that need little', () => {
    const { begun, ask, end } = rig();
    ask('a');
    ask('large', 1000);
    for (const name of ['b', 'c', 'd', 'e']) ask(name);
    for (const name of ['a', 'b', 'c']) end(name);
    expect(begun).toEqual(['a', 'b', 'c', 'large']);
  });

  it('has origins wait for nobody but their own', () => {
    const { begun, ask } = rig();
    ask('here');
    ask('there', 1, 'https://other.test');
    expect(begun).toEqual(['here', 'there']);
  });

  it('goes on without those who take their wish back, or end at once', () => {
    const turns = new OriginTurns();
    const { begun, ask, end } = rig(turns);
    ask('first');
    const wish = ask('gone');
    let ended = 0;
    for (let index = 0; index < 20_000; index++) {
      turns.ask(ORIGIN, { missingBytes: () => 1, begin: (turn) => void (turn[Symbol.dispose](), ended++) });
    }
    ask('last', 5);
    wish[Symbol.dispose]();
    end('first');
    expect(ended).toBe(20_000);
    expect(begun).toEqual(['first', 'last']);
  });

  it('lets more begin as long as that brings more', () => {
    const { begun, open, ask } = rig();
    for (const name of ['a', 'b', 'c', 'd']) ask(name);
    let nowMs = 0;
    const flow = (bytesPerMs: (count: number) => number) => {
      for (const until = nowMs + 1_000; nowMs < until; nowMs += 10)
        open.get('a')?.received(bytesPerMs(begun.length) * 10, nowMs);
    };
    open.get('a')?.finished();
    flow((count) => count * 100);
    expect(begun).toEqual(['a', 'b']);
    expect(open.get('b')?.isTrial).toBe(true);
    flow((count) => count * 100);
    expect(begun).toEqual(['a', 'b', 'c', 'd']);
  });

  it('has nobody wait for long behind a request that does not end', () => {
    jest.useFakeTimers();
    try {
      const { begun, ask, end } = rig();
      ask('slow');
      ask('next');
      jest.advanceTimersByTime(4_900);
      expect(begun).toEqual(['slow']);
      jest.advanceTimersByTime(200);
      expect(begun).toEqual(['slow', 'next']);
      end('slow');
      ask('third');
      expect(begun).toEqual(['slow', 'next']);
      end('next');
      expect(begun).toEqual(['slow', 'next', 'third']);
    } finally {
      jest.useRealTimers();
    }
  });
});

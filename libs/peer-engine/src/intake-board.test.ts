import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { IntakeLevel } from '@d7y/swarm';
import { IntakeBoard } from './intake-board.ts';

const MIB = 2 ** 20;
const PIECE = 4 * MIB;
const NEVER = new AbortController().signal;

/** A board, what it says of its level and when its turns end, with times in ms. */
function setUp() {
  const said: string[] = [];
  const startMs = Date.now();
  const say = (what: string) => void said.push(`${Date.now() - startMs} ${what}`);
  let before: IntakeLevel = 'idle';
  const setLevel = (level: IntakeLevel): void => {
    if (level !== before) say(level);
    before = level;
  };
  const board = new IntakeBoard({ setLevel }, () => Date.now());
  const incoming = () => board.incoming(PIECE, { endsIn: (ms) => say(`ends in ${Math.round(ms)}`) });
  return { board, said, incoming };
}

describe('IntakeBoard', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  it('says once, ahead of time, when a turn ends, and is idle shortly before', async () => {
    const { said, incoming } = setUp();
    const piece = incoming();
    for (let part = 0; part < 4; part++) {
      await jest.advanceTimersByTimeAsync(100);
      void piece.take(MIB, { signal: NEVER });
    }
    piece[Symbol.dispose]();
    expect(said).toEqual(['0 full', '300 ends in 100', '398 idle']);
  });

  it('says that a turn has ended when the piece comes no more', () => {
    const { said, incoming } = setUp();
    incoming()[Symbol.dispose]();
    expect(said).toEqual(['0 full', '0 ends in 0', '0 idle']);
  });

  it('has nothing to say of turns of what it asked for unasked', () => {
    const { board, said } = setUp();
    const piece = board.incoming(PIECE, undefined);
    expect(said).toEqual([]);
    void piece.take(MIB, { signal: NEVER });
    piece[Symbol.dispose]();
    expect(said).toEqual(['0 full', '0 idle']);
  });
});

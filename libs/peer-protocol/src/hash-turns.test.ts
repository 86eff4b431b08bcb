import { createHash } from 'node:crypto';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { content, KIB } from './_rig.ts';
import { HashTurns } from './hash-turns.ts';
import { RunningHash } from './running-hash.ts';

const PIECE = 512 * KIB;
const COUNT = 4;
const LOOK_MS = 20;
const path = join(tmpdir(), `hash-turns-${process.pid}`);
const bytes = content(COUNT * PIECE);
const expected = createHash('sha256').update(bytes).digest('hex');
const part = (from: number, to: number) => bytes.subarray(from * KIB, to * KIB);
const piece = (number: number) => bytes.subarray(number * PIECE, (number + 1) * PIECE);
let fd: number;
let hash: RunningHash;
let turns: HashTurns;
beforeAll(() => {
  fd = openSync(path, 'w+');
  writeSync(fd, bytes);
});
afterAll(() => {
  closeSync(fd);
  rmSync(path);
});
beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
  hash = new RunningHash('sha256', fd);
  turns = new HashTurns(hash);
});
afterEach(() => void jest.useRealTimers());

/** The first bytes of a piece are here, and have passed. */
function begin(number: number) {
  const turn = turns.begin(number * PIECE);
  turn.update(piece(number).subarray(0, KIB));
  return turn;
}

/** The rest of a piece passes. */
function finish(number: number, turn: ReturnType<typeof begin>): void {
  turn.update(piece(number).subarray(KIB));
  turn.end();
}

describe('HashTurns', () => {
  it('has pieces that came together pass in order, and nothing is read back', () => {
    const all = [0, 1, 2, 3].map((number) => ({ number, turn: begin(number) }));
    for (const { number, turn } of all) {
      expect(all.map((one) => one.turn.wait !== undefined)).toEqual([0, 1, 2, 3].map((other) => other > number));
      finish(number, turn);
    }
    expect([hash.position, hash.digest()]).toEqual([COUNT * PIECE, expected]);
  });

  it('waits for a piece that was asked for and has not come yet', () => {
    const coming = turns.expect(0);
    const second = begin(1);
    expect(second.wait).toBeDefined();
    const first = begin(0);
    coming[Symbol.dispose]();
    finish(0, first);
    finish(1, second);
    expect(hash.position).toBe(2 * PIECE);
  });

  it.each([
    ['was not asked for', () => undefined],
    ['will not come', () => turns.expect(0)[Symbol.dispose]()],
  ])('does not wait for a piece that %s', (_, arrange) => {
    const coming = turns.expect(0);
    const early = begin(1);
    coming[Symbol.dispose]();
    arrange();
    expect(early.wait).toBeUndefined();
    expect(begin(2).wait).toBeUndefined();
  });

  it('lets all go when the first one is slow, and has others wait again after it', () => {
    const [first, second, third] = [begin(0), begin(1), begin(2)];
    jest.advanceTimersByTime(LOOK_MS);
    expect([second.wait, third.wait, begin(3).wait]).toEqual([undefined, undefined, undefined]);
    finish(0, first);
    finish(1, second);
    // The second one has passed without being hashed, and is about to be read back.
    expect(begin(2).wait).toBeDefined();
  });

  it('has them wait on while the first one is fast, but not for long', () => {
    const first = begin(0);
    const second = begin(1);
    first.update(part(1, 400));
    jest.advanceTimersByTime(LOOK_MS);
    expect(second.wait).toBeDefined();
    for (let turn = 0; turn < 20; turn++) {
      first.update(Buffer.alloc(256 * KIB));
      jest.advanceTimersByTime(LOOK_MS);
    }
    expect(second.wait).toBeUndefined();
  });

  it('lets all go when the first one comes to nothing', () => {
    const [first, second] = [begin(0), begin(1)];
    first.undo();
    expect([hash.position, second.wait]).toEqual([0, undefined]);
  });

  it('takes back nothing of others when one that waits comes to nothing', () => {
    const [first, second, third] = [begin(0), begin(1), begin(2)];
    second.undo();
    expect(third.wait).toBeDefined();
    finish(0, first);
    expect([hash.position, third.wait]).toEqual([PIECE, undefined]);
  });

  it('waits for what is being read back, and passes from there', async () => {
    finish(0, begin(0));
    const reading = hash.advance(2 * PIECE).finally(() => turns.moveOn());
    const third = begin(2);
    expect(third.wait).toBeDefined();
    await reading;
    finish(2, third);
    await hash.advance(3 * PIECE);
    finish(3, begin(3));
    expect(hash.digest()).toBe(expected);
  });

  it('holds nobody when the hash is needed no more', () => {
    begin(0);
    const second = begin(1);
    hash.close();
    turns.letAllGo();
    expect([second.wait, begin(2).wait]).toEqual([undefined, undefined]);
  });
});

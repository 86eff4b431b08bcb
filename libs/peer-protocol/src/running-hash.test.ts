import { createHash } from 'node:crypto';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { content, KIB } from './_rig.ts';
import { RunningHash } from './running-hash.ts';

const PIECE = 300 * KIB;
const path = join(tmpdir(), `running-hash-${process.pid}`);
const bytes = content(4 * PIECE);
const piece = (number: number) => bytes.subarray(number * PIECE, (number + 1) * PIECE);
const expected = createHash('sha256').update(bytes).digest('hex');
let fd: number;
beforeAll(() => {
  fd = openSync(path, 'w+');
  writeSync(fd, bytes);
});
afterAll(() => {
  closeSync(fd);
  rmSync(path);
});

/** A hash to which the pieces below `count` have passed in order. */
function passed(count: number): RunningHash {
  const hash = new RunningHash('sha256', fd);
  for (let number = 0; number < count; number++) {
    const tap = hash.tap(number * PIECE);
    tap?.update(piece(number));
    tap?.end();
  }
  return hash;
}

describe('RunningHash', () => {
  it('takes what passes in order, and reads nothing', async () => {
    const hash = passed(4);
    await hash.advance(4 * PIECE);
    expect([hash.position, hash.digest()]).toEqual([4 * PIECE, expected]);
  });

  it('lets only the transfer pass that begins where it stands, and one at a time', () => {
    const hash = passed(1);
    expect(hash.tap(0)).toBeUndefined();
    expect(hash.tap(2 * PIECE)).toBeUndefined();
    expect(hash.tap(PIECE)).toBeDefined();
    expect(hash.tap(PIECE)).toBeUndefined();
  });

  it('reads back what did not pass', async () => {
    const hash = passed(2);
    await hash.advance(4 * PIECE);
    expect(hash.digest()).toBe(expected);
  });

  it.each([0, PIECE, PIECE + 1, 2 * PIECE, 4 * PIECE])(
    'goes back before the piece at %i when told to',
    async (position) => {
      const hash = passed(3);
      const tap = hash.tap(3 * PIECE);
      tap?.update(Buffer.alloc(PIECE)); // wrong
      hash.forget(Math.min(position, 3 * PIECE));
      tap?.update(piece(3)); // comes too late to count
      expect(hash.position).toBeLessThanOrEqual(position);
      await hash.advance(4 * PIECE);
      expect(hash.digest()).toBe(expected);
    },
  );

  it('goes back when the transfer that passed came to nothing', async () => {
    const hash = passed(1);
    const tap = hash.tap(PIECE);
    tap?.update(Buffer.alloc(10));
    tap?.undo();
    expect(hash.position).toBe(PIECE);
    await hash.advance(4 * PIECE);
    expect(hash.digest()).toBe(expected);
  });

  it('stops reading what is forgotten meanwhile', async () => {
    const hash = new RunningHash('sha256', fd);
    const advancing = hash.advance(4 * PIECE);
    hash.forget(PIECE);
    await advancing;
    expect(hash.position).toBe(0);
    await hash.advance(4 * PIECE);
    expect(hash.digest()).toBe(expected);
  });
});

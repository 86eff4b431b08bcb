import { describe, expect, it } from '@jest/globals';
import { DEFAULT_LATE_POLICY, isLate, isStuck, remainingMs, silenceOf } from './lateness.ts';

const MIB = 2 ** 20;
const transfer = (more: Partial<Parameters<typeof isStuck>[0]>) => ({
  lengthBytes: 4 * MIB,
  bytes: MIB,
  elapsedMs: 1_000,
  bytesPerSec: MIB,
  ...more,
});

describe('a transfer', () => {
  it.each([
    ['nothing yet, too early to say', { bytes: 0, bytesPerSec: 0, elapsedMs: 1_499 }, false],
    ['nothing for too long', { bytes: 0, bytesPerSec: 0, elapsedMs: 1_500 }, true],
    ['less than the floor', { bytesPerSec: 60_000, elapsedMs: 5_000 }, true],
    ['slow, but above the floor', { bytesPerSec: 70_000, elapsedMs: 60_000 }, false],
    ['everything', { bytes: 4 * MIB, bytesPerSec: 0, elapsedMs: 60_000 }, false],
  ])('with %s is stuck: %3$s', (_, more, expected) => {
    expect(isStuck(transfer(more), DEFAULT_LATE_POLICY)).toBe(expected);
  });

  it('is late when it takes several times as long as others, and later than jitter explains', () => {
    const late = (more: object, typical: number | undefined, isEndgame = false): boolean =>
      isLate(transfer(more), typical, isEndgame, DEFAULT_LATE_POLICY);
    expect(late({ elapsedMs: 1_000 }, 40 * MIB)).toBe(true);
    expect(late({ elapsedMs: 800 }, 40 * MIB)).toBe(false);
    expect(late({ elapsedMs: 300 }, 40 * MIB, true)).toBe(true);
    expect(late({ elapsedMs: 60_000 }, 2 * MIB)).toBe(false);
    expect(late({ elapsedMs: 60_000 }, undefined)).toBe(false);
    expect(late({ elapsedMs: 60_000, bytes: 4 * MIB }, 40 * MIB)).toBe(false);
  });

  it('takes for ever when nothing comes, and no time when all is here', () => {
    expect(remainingMs(transfer({ bytesPerSec: 0 }))).toBe(Infinity);
    expect(remainingMs(transfer({ bytesPerSec: 0, bytes: 4 * MIB }))).toBe(0);
    expect(remainingMs(transfer({}))).toBe(3_000);
  });
});

describe('a silence', () => {
  it('counts from when the host last sent us anything, and beyond the time in which a turn comes whatever it sends', () => {
    expect(silenceOf(4_000, Infinity)).toBe(4_000);
    expect(silenceOf(4_000, 10)).toBe(10);
    expect(silenceOf(359_000, 700)).toBe(700);
    expect(silenceOf(365_000, 700)).toBe(5_000);
  });
});

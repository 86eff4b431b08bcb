import { describe, expect, it } from '@jest/globals';
import { coverageOf } from '../src/http/coverage.ts';

describe('coverageOf', () => {
  it('finds every byte sent once, whatever the order', () => {
    const coverage = coverageOf(
      [
        { start: 4, length: 6 },
        { start: 0, length: 4 },
      ],
      10,
    );
    expect(coverage).toEqual({
      ranges: [{ start: 0, end: 10, times: 1 }],
      minTimes: 1,
      maxTimes: 1,
      sentBytes: 10,
      repeatedBytes: 0,
    });
  });

  it('shows a gap as bytes sent no time', () => {
    const { ranges, minTimes } = coverageOf([{ start: 0, length: 3 }], 5);
    expect(ranges).toEqual([
      { start: 0, end: 3, times: 1 },
      { start: 3, end: 5, times: 0 },
    ]);
    expect(minTimes).toBe(0);
  });

  it('counts an overlap as often as it was sent', () => {
    const { ranges, maxTimes, repeatedBytes } = coverageOf(
      [
        { start: 0, length: 8 },
        { start: 2, length: 4 },
        { start: 3, length: 1 },
      ],
      8,
    );
    expect(ranges).toEqual([
      { start: 0, end: 2, times: 1 },
      { start: 2, end: 3, times: 2 },
      { start: 3, end: 4, times: 3 },
      { start: 4, end: 6, times: 2 },
      { start: 6, end: 8, times: 1 },
    ]);
    expect(maxTimes).toBe(3);
    expect(repeatedBytes).toBe(5);
  });

  it('shows bytes past the end of the resource', () => {
    expect(coverageOf([{ start: 0, length: 12 }], 10).ranges).toEqual([{ start: 0, end: 12, times: 1 }]);
  });

  it('has nothing to say about an empty resource', () => {
    expect(coverageOf([], 0)).toMatchObject({ ranges: [], minTimes: 0, sentBytes: 0 });
  });
});

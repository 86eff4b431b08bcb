import { describe, expect, it } from '@jest/globals';
import { summarize } from './statistics.ts';

describe('summarize', () => {
  it('finds the middle of an odd number of values, whatever their order', () => {
    expect(summarize([5, 1, 9])).toEqual({ median: 5, min: 1, max: 9 });
  });

  it('takes the mean of the two in the middle of an even number', () => {
    expect(summarize([4, 1, 2, 10]).median).toBe(3);
  });

  it('refuses to summarize nothing', () => {
    expect(() => summarize([])).toThrow(RangeError);
  });
});

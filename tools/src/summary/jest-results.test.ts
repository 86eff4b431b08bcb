import { describe, expect, it } from '@jest/globals';
import { countTests, parseJestResults } from './jest-results.ts';

describe('countTests', () => {
  it('adds the runs up', () => {
    const run = { numPassedTests: 3, numFailedTests: 1, numRuntimeErrorTestSuites: 0 };
    expect(countTests([run, run])).toEqual({ passed: 6, failed: 2 });
  });

  it('counts a file that could not start as a failure', () => {
    expect(countTests([{ numPassedTests: 5, numFailedTests: 0, numRuntimeErrorTestSuites: 2 }])).toEqual({
      passed: 5,
      failed: 2,
    });
  });
});

describe('parseJestResults', () => {
  it('reads the three counts', () => {
    const text = JSON.stringify({ numPassedTests: 7, numFailedTests: 1, numRuntimeErrorTestSuites: 2, success: false });
    expect(parseJestResults(text)).toEqual({ numPassedTests: 7, numFailedTests: 1, numRuntimeErrorTestSuites: 2 });
  });

  it('refuses a file without counts', () => {
    expect(() => parseJestResults('{}')).toThrow('numPassedTests');
  });
});

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
  const counts = { numPassedTests: 7, numFailedTests: 1, numRuntimeErrorTestSuites: 2 };

  it('reads the three counts', () => {
    const text = JSON.stringify({ ...counts, success: false, testResults: [] });
    expect(parseJestResults(text)).toEqual({ ...counts, triedAgain: [] });
  });

  it('names what passed at the second try', () => {
    const assertionResults = [
      { fullName: 'at once', status: 'passed', invocations: 1 },
      { fullName: 'later', status: 'passed', invocations: 2 },
      { fullName: 'never', status: 'failed', invocations: 2 },
      { fullName: 'not today', status: 'pending' },
    ];
    expect(parseJestResults(JSON.stringify({ ...counts, testResults: [{ assertionResults }] })).triedAgain).toEqual([
      'later',
    ]);
  });

  it('refuses a file without counts', () => {
    expect(() => parseJestResults('{}')).toThrow('numPassedTests');
  });
});

import { describe, expect, it } from '@jest/globals';
import { failedFiles, mergeResults, type RunResults } from './merge-results.ts';

function run(files: Record<string, Record<string, string>>): RunResults {
  const testResults = Object.entries(files).map(([name, tests]) => ({
    name,
    status: Object.values(tests).every((status) => status === 'passed') && name !== 'broken' ? 'passed' : 'failed',
    assertionResults: Object.entries(tests).map(([fullName, status]) => ({ fullName, status, invocations: 1 })),
  }));
  return { numPassedTests: 0, numFailedTests: 0, numRuntimeErrorTestSuites: 0, testResults };
}

describe('failedFiles', () => {
  it('names those with a failed test, and those that did not start', () => {
    expect(failedFiles(run({ good: { a: 'passed' }, bad: { a: 'passed', b: 'failed' }, broken: {} }))).toEqual([
      'bad',
      'broken',
    ]);
  });
});

describe('mergeResults', () => {
  const first = run({ good: { a: 'passed' }, bad: { b: 'passed', c: 'failed' }, broken: {} });

  it('counts a file that ran again by its second run, and says which tests needed it', () => {
    const merged = mergeResults(first, run({ bad: { b: 'passed', c: 'passed' } }));
    expect(merged).toMatchObject({ numPassedTests: 3, numFailedTests: 0, numRuntimeErrorTestSuites: 1 });
    const invocations = merged.testResults.flatMap(({ assertionResults }) =>
      assertionResults.map((test) => test.invocations),
    );
    expect(invocations).toEqual([1, 1, 2]);
  });

  it('still fails what failed again, or fails now', () => {
    expect(mergeResults(first, run({ bad: { b: 'failed', c: 'failed' } }))).toMatchObject({ numFailedTests: 2 });
  });
});

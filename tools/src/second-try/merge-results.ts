import type { JestCounts, JestSuite } from '../summary/jest-results.ts';

/** What is read of a result file of jest, and written again. */
export interface RunResults extends JestCounts {
  readonly testResults: readonly JestSuite[];
}

/** Files with a test that failed, or that could not start. */
export function failedFiles({ testResults }: RunResults): string[] {
  return testResults.filter(({ status }) => status === 'failed').map(({ name }) => name);
}

/**
 * One run in which the files of the second replace those of the first. What failed at first and passes now was invoked more than once, as
 * if jest itself had tried it again.
 */
export function mergeResults(first: RunResults, second: RunResults): RunResults {
  const again = new Map(second.testResults.map((file) => [file.name, file]));
  const testResults = first.testResults.map((before) => {
    const after = again.get(before.name);
    if (after === undefined) return before;
    const failed = new Set(before.assertionResults.filter(({ status }) => status === 'failed').map(nameOf));
    const isNew = before.assertionResults.length === 0;
    const assertionResults = after.assertionResults.map((test) =>
      isNew || failed.has(test.fullName) ? { ...test, invocations: (test.invocations ?? 1) + 1 } : test,
    );
    return { ...after, assertionResults };
  });
  const counted = (status: string): number =>
    testResults.reduce((sum, file) => sum + file.assertionResults.filter((test) => test.status === status).length, 0);
  return {
    ...first,
    testResults,
    numPassedTests: counted('passed'),
    numFailedTests: counted('failed'),
    numRuntimeErrorTestSuites: testResults.filter(
      ({ status, assertionResults }) =>
        status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
    ).length,
  };
}

const nameOf = ({ fullName }: { readonly fullName: string }): string => fullName;

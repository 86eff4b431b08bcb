/** The counts of one jest run, as jest writes them with `--json --outputFile`. */
export interface JestCounts {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  /** Files that failed before their first test: a syntax error, a missing import. */
  readonly numRuntimeErrorTestSuites: number;
}

/** What is told of one run. */
export interface JestResults extends JestCounts {
  /** Full names of tests that passed, but not at once. */
  readonly triedAgain: readonly string[];
}

/** What is read of a test file's results. */
export interface JestSuite {
  /** Absolute path of the test file. */
  readonly name: string;
  readonly status: string;
  readonly assertionResults: readonly {
    readonly status: string;
    readonly fullName: string;
    readonly invocations?: number;
  }[];
}

/** Tests of several runs together. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
}

/** Adds runs up. A file that could not even start counts as one failed test, or it would not be seen in the numbers. */
export function countTests(runs: Iterable<JestCounts>): TestCounts {
  let passed = 0;
  let failed = 0;
  for (const run of runs) {
    passed += run.numPassedTests;
    failed += run.numFailedTests + run.numRuntimeErrorTestSuites;
  }
  return { passed, failed };
}

/**
 * Reads one result file.
 * @throws {TypeError} when a count is missing or no number, so that a change of jest's format cannot pass for zero failures
 */
export function parseJestResults(text: string): JestResults {
  const parsed = JSON.parse(text) as Record<string, unknown>;
  const count = (name: keyof JestCounts): number => {
    const value = parsed[name];
    if (typeof value !== 'number') throw new TypeError(`a jest result file has no number "${name}"`);
    return value;
  };
  return {
    numPassedTests: count('numPassedTests'),
    numFailedTests: count('numFailedTests'),
    numRuntimeErrorTestSuites: count('numRuntimeErrorTestSuites'),
    triedAgain: (parsed['testResults'] as JestSuite[]).flatMap(({ assertionResults }) =>
      assertionResults
        .filter(({ status, invocations = 1 }) => status === 'passed' && invocations > 1)
        .map(({ fullName }) => fullName),
    ),
  };
}

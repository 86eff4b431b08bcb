// Prints which tests passed at the second try only, then "N passed, N failed", over jest result files: main.ts [--expect-tests] FILE...
// Files that do not exist are passed over: a project without tests writes none.
import { existsSync, readFileSync } from 'node:fs';
import { countTests, parseJestResults } from './jest-results.ts';

const files = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const runs = files.filter((file) => existsSync(file)).map((file) => parseJestResults(readFileSync(file, 'utf8')));
const { passed, failed } = countTests(runs);
for (const name of runs.flatMap(({ triedAgain }) => triedAgain)) console.log(`passed at the second try: ${name}`);
console.log(`${passed} passed, ${failed} failed`);
if (failed > 0 || (process.argv.includes('--expect-tests') && passed === 0)) process.exitCode = 1;

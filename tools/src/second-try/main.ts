// Runs jest with what it is given, and files that failed once more, each from scratch: main.ts --outputFile=FILE ARGUMENTS...
// A test that jest itself tries again finds the traces of its first try: what was cached, who was blamed. Here nothing is left of it.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { failedFiles, mergeResults, type RunResults } from './merge-results.ts';

/** More than that is no bad luck. */
const MAX_FILES = 3;

const given = process.argv.slice(2);
const output = given.find((argument) => argument.startsWith('--outputFile='))?.slice('--outputFile='.length);
if (output === undefined) throw new Error('say --outputFile=FILE');
const rest = given.filter((argument) => !argument.startsWith('--outputFile='));
// Not what chose files or tests.
const options = rest.filter((argument, index) => argument.startsWith('--') || rest[index - 1] === '--config');

const jest = (args: readonly string[]): number => spawnSync('jest', args, { stdio: 'inherit' }).status ?? 1;
const read = (file: string): RunResults | undefined =>
  existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as RunResults) : undefined;

// What an earlier run left would pass for the results of one that wrote none.
rmSync(output, { force: true });
process.exitCode = jest([...rest, `--outputFile=${output}`]);
const first = process.exitCode === 0 ? undefined : read(output);
const files = first === undefined ? [] : failedFiles(first);
if (first !== undefined && files.length > 0 && files.length <= MAX_FILES) {
  console.log(`\n== once more, from scratch: ${files.join(' ')}`);
  const again = `${output}.again`;
  const code = jest([...options, `--outputFile=${again}`, '--runTestsByPath', ...files]);
  const second = read(again);
  rmSync(again, { force: true });
  if (second !== undefined) {
    writeFileSync(output, JSON.stringify(mergeResults(first, second)));
    process.exitCode = code;
  }
}

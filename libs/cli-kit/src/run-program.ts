import { createLogger, type Logger } from '@d7y/service-kit';
import { type Command, CommanderError, type OutputConfiguration } from 'commander';
import type { CommonOptions } from './common-options.ts';
import { CancelledError, CliError } from './errors.ts';
import { describeFailure, failureJson } from './failure-report.ts';

/** Where a program's output goes. */
export interface Terminal {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/** Wrong arguments; everything else that fails is 1, or 128 and the signal's number. */
const EXIT_USAGE = 2;

/**
 * Runs a program to its end, and says why it failed where it does.
 * @param create makes the command line; its actions call `chose` as soon as they know in which form failures are to be told
 * @param argv without the names of Node and of the program
 * @returns the exit code
 */
export async function runProgram(
  create: (output: OutputConfiguration, chose: (format: CommonOptions['format']) => void) => Command,
  argv: readonly string[],
  { stdout, stderr }: Terminal,
): Promise<number> {
  const chosen: { format: CommonOptions['format'] } = { format: 'text' };
  const output = {
    writeOut: (text: string) => stdout.write(text),
    writeErr: (text: string) => stderr.write(text),
  };
  try {
    await create(output, (format) => (chosen.format = format)).parseAsync(argv, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE; // commander has said why
    stderr.write(
      chosen.format === 'json' ? failureJson(error) : describeFailure(error, { color: stderr.isTTY === true }),
    );
    return error instanceof CliError ? error.exitCode : 1;
  }
}

/** Aborts on the first SIGINT or SIGTERM; the second one takes its usual course: whoever presses Ctrl-C twice means now. */
export function cancelOnSignals(): AbortSignal {
  const cancel = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => cancel.abort(new CancelledError(signal)));
  }
  return cancel.signal;
}

/** Log lines on standard error, silent without --console. */
export function consoleLogger(
  name: string,
  { console, logLevel }: Pick<CommonOptions, 'console' | 'logLevel'>,
  stderr: NodeJS.WritableStream,
): Logger {
  const stream = { write: (line: string) => void stderr.write(line) };
  return createLogger({ name, level: console ? logLevel : 'silent', console: true, stream });
}

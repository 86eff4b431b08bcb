import { execFile } from 'node:child_process';
import { DfError } from '@d7y/piece';
import { findProgram } from './programs.ts';

/** A program ended with a code other than 0, or did not end in time. */
export class ProgramFailedError extends DfError {
  override readonly name = 'ProgramFailedError';
  readonly code = 'PROGRAM_FAILED';
  readonly retryable = false;
  readonly exitCode: number | undefined;
  readonly stderr: string;
  constructor(
    command: string,
    exitCode: number | undefined,
    output: { stdout: string; stderr: string },
    options: ErrorOptions,
  ) {
    const lastWords = (output.stderr.trim() || output.stdout.trim()).slice(-2000);
    super(`${command} ${exitCode === undefined ? 'was killed' : `exited with ${exitCode}`}: ${lastWords}`, options);
    this.exitCode = exitCode;
    this.stderr = output.stderr;
  }
}

export interface RunOptions {
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Text for standard input. */
  readonly input?: string;
  /** Default: 300 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** What a program printed, as text, and how long it took. */
export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

/**
 * Runs a program to its end.
 * @throws {ProgramFailedError} on any exit code but 0, on a timeout, and when it cannot be started
 */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { env, cwd, input, timeoutMs = 300_000, signal } = options;
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const child = execFile(
      findProgram(program) ?? program,
      [...args],
      {
        env: { ...process.env, ...env },
        ...(cwd === undefined ? {} : { cwd }),
        ...(signal === undefined ? {} : { signal }),
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: 64 * 2 ** 20,
      },
      (error, stdout, stderr) => {
        if (error === null) {
          resolve({ stdout, stderr, ms: performance.now() - started });
          return;
        }
        const exitCode = typeof error.code === 'number' ? error.code : undefined;
        const output = stderr === '' && stdout === '' ? { stdout, stderr: error.message } : { stdout, stderr };
        reject(new ProgramFailedError([program, ...args].join(' '), exitCode, output, { cause: error }));
      },
    );
    child.stdin?.on('error', () => undefined); // a program that does not read its input closes it
    child.stdin?.end(input ?? '');
  });
}

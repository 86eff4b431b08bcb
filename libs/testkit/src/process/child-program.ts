import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { DfError } from '@d7y/piece';
import { findProgram } from './programs.ts';
import { type ProcessUsage, readProcessUsage } from './usage.ts';

/** Lines kept of each program; older ones are forgotten. */
const MAX_LINES = 100_000;

/** A program that should be running has ended, or did not say in time what it was waited for. */
export class ChildProgramError extends DfError {
  override readonly name = 'ChildProgramError';
  readonly code = 'CHILD_PROGRAM';
  readonly retryable = false;
  constructor(program: ChildProgram, problem: string) {
    super(`${program.name} (pid ${program.pid}) ${problem}; its last lines:\n${program.lines.slice(-20).join('\n')}`);
  }
}

/** How a program ended: exactly one of the two is not null. */
export interface ProgramEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface StartProgramOptions {
  /** Shown in errors; default: the program's name. */
  readonly name?: string;
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** How long disposal waits after SIGTERM before SIGKILL. Default: 10 s. */
  readonly stopTimeoutMs?: number;
}

const running = new Set<ChildProcess>();

function killAtExit(child: ChildProcess): void {
  // One listener for all: Node takes more than ten for a leak.
  if (running.size === 0) process.once('exit', killRunning);
  running.add(child);
}

function hasEnded(child: ChildProcess): void {
  running.delete(child);
  if (running.size === 0) process.removeListener('exit', killRunning);
}

function killRunning(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** A program that runs beside the test. Its output is collected by lines; it never outlives this process. */
export class ChildProgram implements AsyncDisposable {
  readonly name: string;
  readonly pid: number;
  /** Standard output and standard error, mixed, in the order of arrival; bounded. */
  readonly lines: string[] = [];
  /** Standard output alone. */
  readonly stdoutLines: string[] = [];
  readonly exited: Promise<ProgramEnd>;
  readonly #child: ChildProcess;
  readonly #stopTimeoutMs: number;
  readonly #watchers = new Set<() => void>();
  #end: ProgramEnd | undefined;

  private constructor(child: ChildProcess, pid: number, name: string, stopTimeoutMs: number) {
    this.#child = child;
    this.pid = pid;
    this.name = name;
    this.#stopTimeoutMs = stopTimeoutMs;
    killAtExit(child);
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        hasEnded(child);
        this.#end = { code, signal };
        resolve(this.#end);
        this.#notify();
      });
    });
    if (child.stdout) createInterface(child.stdout).on('line', (line) => this.#collect(line, this.stdoutLines));
    if (child.stderr) createInterface(child.stderr).on('line', (line) => this.#collect(line));
  }

  /**
   * Starts a program; what is ready and when is the caller's knowledge (waitForLine, eventually).
   * @throws when it cannot be started
   */
  static async start(
    program: string,
    args: readonly string[],
    options: StartProgramOptions = {},
  ): Promise<ChildProgram> {
    const { env, cwd, name = program, stopTimeoutMs = 10_000 } = options;
    const file = findProgram(program) ?? program;
    // The kernel ends the child when this process dies, by kill -9 of a test run too.
    const [command, ...commandArgs] =
      findProgram('setpriv') === undefined ? [file, ...args] : ['setpriv', '--pdeathsig', 'KILL', '--', file, ...args];
    const child = spawn(command, commandArgs, {
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve).once('error', reject);
    });
    return new ChildProgram(child, child.pid as number, name, stopTimeoutMs);
  }

  /** How it ended; undefined while it runs. */
  get end(): ProgramEnd | undefined {
    return this.#end;
  }

  /**
   * Waits for a line that was or will be printed.
   * @throws {ChildProgramError} when the program ends without it, or after `timeoutMs` (default 30 s)
   */
  async waitForLine(
    pattern: RegExp,
    { timeoutMs = 30_000, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<string> {
    const limit = AbortSignal.timeout(timeoutMs);
    const either = signal === undefined ? limit : AbortSignal.any([limit, signal]);
    for (let seen = 0; ;) {
      const found = this.lines.slice(seen).find((line) => pattern.test(line));
      if (found !== undefined) return found;
      seen = this.lines.length;
      if (this.#end !== undefined)
        throw new ChildProgramError(this, `ended (${describeEnd(this.#end)}) without printing ${pattern}`);
      if (either.aborted) throw new ChildProgramError(this, `did not print ${pattern} within ${timeoutMs} ms`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#watchers.add(resolve);
      either.addEventListener('abort', () => resolve(), { once: true });
      await promise;
      this.#watchers.delete(resolve);
    }
  }

  /**
   * Fails when the program no longer runs; for loops that wait for something it should do.
   * @throws {ChildProgramError}
   */
  throwIfEnded(): void {
    if (this.#end !== undefined) throw new ChildProgramError(this, `ended (${describeEnd(this.#end)})`);
  }

  /** Sends a signal and waits for the end; a program that has ended already is left alone. */
  async kill(signal: NodeJS.Signals): Promise<ProgramEnd> {
    if (this.#end === undefined) this.#child.kill(signal);
    return this.exited;
  }

  /** Sends a signal without waiting: SIGSTOP, SIGCONT, SIGHUP. */
  send(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  usage(): ProcessUsage {
    return readProcessUsage(this.pid);
  }

  rssBytes(): number {
    return this.usage().rssBytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#end !== undefined) return;
    this.#child.kill('SIGTERM');
    this.#child.kill('SIGCONT'); // a stopped program would keep its SIGTERM for later
    const force = setTimeout(() => this.#child.kill('SIGKILL'), this.#stopTimeoutMs);
    try {
      await this.exited;
    } finally {
      clearTimeout(force);
    }
  }

  #collect(line: string, also?: string[]): void {
    for (const lines of also === undefined ? [this.lines] : [this.lines, also]) {
      if (lines.length >= MAX_LINES) lines.splice(0, MAX_LINES / 2);
      lines.push(line);
    }
    this.#notify();
  }

  #notify(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

function describeEnd({ code, signal }: ProgramEnd): string {
  return signal === null ? `exit code ${code}` : signal;
}

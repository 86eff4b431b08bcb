import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AppConfig, bundlePath, ChildProgram, type ProgramEnd } from '@d7y/testkit';

/** A program that has come to its end. */
export interface Ended {
  readonly code: number | null;
  readonly signal: ProgramEnd['signal'];
  /** Both streams, line by line. */
  readonly lines: readonly string[];
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
}

export interface RunAppOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Drops root's rights first: root may write anywhere. Has no effect for other users, who cannot either. */
  readonly unprivileged?: boolean;
  /** After this the program is killed, and its end shows SIGKILL. Default: 20 s. */
  readonly timeoutMs?: number;
}

/** The user and group that own nothing. */
const NOBODY = ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--'];

/** Starts an application from its bundle on the Node that runs the test. */
export function startApp(app: string, options: RunAppOptions = {}): Promise<ChildProgram> {
  const { args = [], env = {}, unprivileged = false } = options;
  const command = [process.execPath, bundlePath(app), ...args];
  const isRoot = process.getuid?.() === 0;
  const [program = '', ...rest] = unprivileged && isRoot ? ['setpriv', ...NOBODY, ...command] : command;
  // The test runner's own options are not for the program under test.
  return ChildProgram.start(program, rest, { name: app, env: { NODE_OPTIONS: '', ...env } });
}

/** Runs an application to its end, whatever that is. */
export async function runApp(app: string, options: RunAppOptions = {}): Promise<Ended> {
  const program = await startApp(app, options);
  const timer = setTimeout(() => program.send('SIGKILL'), options.timeoutMs ?? 20_000);
  const { code, signal } = await program.exited;
  clearTimeout(timer);
  const { lines, stdoutLines: stdout } = program;
  return { code, signal, lines, stdout, stderr: lines.filter((line) => !stdout.includes(line)) };
}

/** Writes a configuration (JSON is YAML) that every user may read, and returns its path. */
export async function writeConfig(dir: string, name: string, config: AppConfig | string): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, typeof config === 'string' ? config : JSON.stringify(config, null, 2), { mode: 0o644 });
  return path;
}

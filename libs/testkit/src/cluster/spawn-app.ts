import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { DfError } from '@d7y/piece';
import { ChildProgram } from '../process/child-program.ts';
import { type LabHost, onHost } from '../network-lab/network-lab.ts';
import { eventually } from '../process/eventually.ts';
import { run } from '../process/run.ts';

/** A configuration file as an object; JSON is YAML. */
export type AppConfig = Readonly<Record<string, unknown>>;

/** By what a test sees that a program is ready. */
export type Readiness =
  /** A line of its output. */
  | { readonly kind: 'line'; readonly pattern: RegExp }
  /** An address that answers 200. */
  | { readonly kind: 'http'; readonly url: string }
  /** A port of loopback that accepts connections. */
  | { readonly kind: 'tcp'; readonly port: number };

export interface SpawnAppOptions {
  /** Folder for the configuration file. */
  readonly dir: string;
  /** Written to a file whose path follows `--config`; absent for programs without one. */
  readonly config?: AppConfig;
  /** Arguments before `--config`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Absent for programs that end by themselves or that the test waits for itself. */
  readonly ready?: Readiness;
  /** Default: 30 s. */
  readonly readyTimeoutMs?: number;
  /** Where it runs, in a network lab; on this machine unless given. */
  readonly host?: LabHost;
  /** Shown in errors; default: the app's name. */
  readonly name?: string;
}

/** An application has not been bundled yet. */
export class BundleMissingError extends DfError {
  override readonly name = 'BundleMissingError';
  readonly code = 'BUNDLE_MISSING';
  readonly retryable = false;
  constructor(path: string) {
    super(`${path} does not exist: nx run-many -t bundle`);
  }
}

/** Folder of the workspace, in which bundles are found. */
const WORKSPACE = join(import.meta.dirname, '..', '..', '..', '..');

/**
 * Path of an application's bundle.
 * @throws {BundleMissingError}
 */
export function bundlePath(app: string): string {
  const path = join(WORKSPACE, 'apps', app, 'bundle', 'main.mjs');
  if (!existsSync(path)) throw new BundleMissingError(path);
  return path;
}

/**
 * Starts an application as a process of its own, from its bundle, on the Node that runs the test, and waits until it is ready.
 * @throws when it ends or does not become ready; it is gone then
 */
export async function spawnApp(app: string, options: SpawnAppOptions): Promise<ChildProgram> {
  const { dir, config, args = [], env = {}, ready, readyTimeoutMs = 30_000, name = app, host } = options;
  const configArgs: string[] = [];
  if (config !== undefined) {
    const file = join(dir, `${name}.yaml`);
    await writeFile(file, JSON.stringify(config, null, 2));
    configArgs.push('--config', file);
  }
  // The test runner's own options are not for the program under test.
  const clean = { NODE_OPTIONS: '', ...env };
  const [file = '', ...fileArgs] = onHost(host, process.execPath, [bundlePath(app), ...args, ...configArgs]);
  const program = await ChildProgram.start(file, fileArgs, {
    name,
    env: clean,
    cwd: dir,
  });
  try {
    if (ready !== undefined) await waitUntilReady(program, ready, readyTimeoutMs, host);
    return program;
  } catch (error) {
    await program.kill('SIGKILL');
    throw error;
  }
}

async function waitUntilReady(
  program: ChildProgram,
  ready: Readiness,
  timeoutMs: number,
  host: LabHost | undefined,
): Promise<void> {
  if (ready.kind === 'line') {
    await program.waitForLine(ready.pattern, { timeoutMs });
    return;
  }
  const attempt = attemptOf(ready, host);
  const ended = program.exited.then(() => program.throwIfEnded());
  // A program that has ended will not become ready: no need to wait for the time-out.
  const stop = new AbortController();
  try {
    await Promise.race([eventually(attempt, { timeoutMs, signal: stop.signal }), ended]);
  } catch (error) {
    throw new Error(
      `${program.name} did not become ready (${String(error)}); its last lines:\n${program.lines.slice(-20).join('\n')}`,
      {
        cause: error,
      },
    );
  } finally {
    stop.abort();
    ended.catch(() => undefined);
  }
}

function attemptOf(ready: Exclude<Readiness, { kind: 'line' }>, host: LabHost | undefined): () => Promise<unknown> {
  if (host !== undefined) {
    // Its loopback is another one than ours.
    const [program = '', ...rest] =
      ready.kind === 'http'
        ? onHost(host, 'curl', ['--silent', '--fail', '--max-time', '2', '--noproxy', '*', ready.url])
        : onHost(host, 'bash', ['-c', `exec 3<>/dev/tcp/127.0.0.1/${ready.port}`]);
    return () => run(program, rest);
  }
  return ready.kind === 'http' ? () => askHealth(ready.url) : () => tryConnect(ready.port);
}

function askHealth(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { agent: false, timeout: 2000 }, (response) => {
      response.resume();
      if (response.statusCode === 200) resolve();
      else reject(new Error(`${url} answers ${response.statusCode}`));
    });
    asking
      .once('timeout', () => asking.destroy(new Error(`${url} does not answer`)))
      .once('error', reject)
      .end();
  });
}

function tryConnect(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}

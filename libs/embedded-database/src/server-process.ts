import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { StartError, TimeoutError, withTimeout } from '@d7y/service-kit';
import type { Account } from './account.ts';
import { SOCKET_PORT } from './layout.ts';
import type { Layout } from './layout.ts';
import { SERVER_ENVIRONMENT } from './run-program.ts';

/** The server, as a process. */
export interface ServerProcess {
  readonly pid: number;
  /** Settles when it has ended, however it did. */
  readonly exited: Promise<string>;
  /** Ends it in order, by force when that takes too long. */
  stop(): Promise<void>;
}

/**
 * Becomes the server, after leaving behind a watcher that reads from a pipe: when the pipe closes without a line, whoever started all this
 * has died, and the server is told to end. It makes sure first that the process is still the server: it works in the folder of its data.
 */
const WITH_WATCHER = `
server=$$ data=$1; shift
( { read -r line <&3 || [ "$(readlink /proc/$server/cwd)" != "$data" ] || kill -INT $server; } >/dev/null 2>&1 & )
exec "$@" 3<&-`;

/** Little memory; what is committed is on the disk. */
const SETTINGS = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  max_connections: '100',
  shared_buffers: '32MB',
  max_wal_size: '256MB',
  min_wal_size: '32MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] ',
} as const;

const FAST_STOP_MS = 15_000;
const IMMEDIATE_STOP_MS = 5_000;
const MAX_LOG_BYTES = 10 * 2 ** 20;

/** Starts the server. When it answers is another question. @throws {StartError} the program cannot be run */
export async function spawnServer(
  layout: Layout,
  options: { software: string; account: Account | undefined; settings: Readonly<Record<string, string>> },
): Promise<ServerProcess> {
  const { software, account, settings } = options;
  const socketFolder = `"${layout.socketFolder.replaceAll('"', '""')}"`; // a list, whose entries may be quoted
  const all = { ...SETTINGS, port: String(SOCKET_PORT), unix_socket_directories: socketFolder, ...settings };
  const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const log = openLog(layout.log);
  const server = [join(software, 'bin', 'postgres'), '-D', layout.data, ...flags];
  const child = spawn('/bin/sh', ['-c', WITH_WATCHER, 'sh', layout.data, ...server], {
    cwd: '/',
    env: SERVER_ENVIRONMENT,
    stdio: ['ignore', log, log, 'pipe'],
    detached: true, // a Ctrl-C is for us, who end it in order
    ...(account !== undefined && { uid: account.uid, gid: account.gid }),
  });
  closeSync(log);
  const watcher = child.stdio[3] as Writable;
  watcher.on('error', () => undefined); // it may be gone before us
  const exited = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => {
      watcher.end('ended\n');
      resolve(signal === null ? `exited with ${code}` : `was ended by ${signal}`);
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve).once('error', (cause) => {
      reject(new StartError(`PostgreSQL cannot be started: ${cause.message}`, { cause }));
    });
  });
  return {
    pid: child.pid as number,
    exited,
    async stop() {
      for (const [signal, waitMs] of [
        ['SIGINT', FAST_STOP_MS],
        ['SIGQUIT', IMMEDIATE_STOP_MS],
      ] as const) {
        child.kill(signal);
        try {
          await withTimeout(exited, waitMs, 'PostgreSQL ends');
          return;
        } catch (error) {
          if (!(error instanceof TimeoutError)) throw error;
        }
      }
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** The last lines that the server wrote. */
export function lastLines(log: string, count = 3): string {
  try {
    return readFileSync(log, 'utf8').trimEnd().split('\n').slice(-count).join(' | ');
  } catch {
    return '';
  }
}

/** Bounded: what is older than the one before is gone. */
function openLog(path: string): number {
  try {
    if (statSync(path).size > MAX_LOG_BYTES) renameSync(path, `${path}.1`);
  } catch {
    // there is none yet
  }
  return openSync(path, 'a', 0o600);
}

import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Secret } from '@d7y/service-kit';
import { StartError } from '@d7y/service-kit';
import type { Account } from './account.ts';
import type { Layout } from './layout.ts';
import { giveTo } from './prepare-folders.ts';
import { runProgram } from './run-program.ts';

export const SUPERUSER = 'dragonfly';
const INITDB_TIMEOUT_MS = 120_000;

/**
 * Makes the cluster unless there is one.
 * @returns whether it was made
 * @throws {StartError} there is one of another major version, or it cannot be made
 */
export async function makeCluster(
  layout: Layout,
  options: {
    software: string;
    account: Account | undefined;
    password: Secret;
    durable: boolean;
    signal?: AbortSignal | undefined;
  },
): Promise<boolean> {
  const { software, account, password, durable, signal } = options;
  if (existsSync(join(layout.data, 'PG_VERSION'))) {
    checkVersion(layout.data, software);
    return false;
  }
  rmSync(layout.staging, { recursive: true, force: true });
  mkdirSync(layout.staging, { mode: 0o700 });
  giveTo(layout.staging, account);
  // Read by a program that may run as another user; in a folder that only that user can enter.
  const passwordFile = join(layout.socketFolder, 'password');
  rmSync(passwordFile, { force: true });
  try {
    writeFileSync(passwordFile, `${password.reveal()}\n`, { mode: 0o600, flag: 'wx' });
    chmodSync(passwordFile, 0o600);
    giveTo(passwordFile, account);
    const args = [
      ...['--pgdata', layout.staging, '--username', SUPERUSER, '--pwfile', passwordFile],
      ...['--auth', 'scram-sha-256', '--encoding', 'UTF8', '--locale', 'C', '--no-instructions'],
      ...(durable ? [] : ['--no-sync']),
    ];
    await runProgram(join(software, 'bin', 'initdb'), args, { account, timeoutMs: INITDB_TIMEOUT_MS, signal });
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(layout.staging, layout.data);
  return true;
}

function checkVersion(data: string, software: string): void {
  const written = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim();
  const control = readVersion(software);
  if (control !== undefined && control !== written) {
    throw new StartError(
      `${data} was written by PostgreSQL ${written} and this is ${control}: dump it with the old version and load it into a new data directory`,
    );
  }
}

/** Major version of the programs, as the catalogue that they bring says. */
function readVersion(software: string): string | undefined {
  for (const share of ['share/postgresql', 'share']) {
    try {
      const [line = ''] = readFileSync(join(software, share, 'postgres.bki'), 'utf8').split('\n', 1);
      return /^# PostgreSQL (\d+)/.exec(line)?.[1];
    } catch {
      continue;
    }
  }
  return undefined;
}

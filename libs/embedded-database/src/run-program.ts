import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { StartError, withTimeout } from '@d7y/service-kit';
import type { Account } from './account.ts';

/** What PostgreSQL's programs get of the environment: nothing that could redirect them. */
export const SERVER_ENVIRONMENT = { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/local/bin:/usr/bin:/bin' } as const;

/** Runs a program of PostgreSQL to its end. @throws {StartError} with its last lines, when it fails or takes too long */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: { account: Account | undefined; timeoutMs: number; signal?: AbortSignal | undefined },
): Promise<void> {
  const { account, timeoutMs, signal } = options;
  await withTimeout(
    async (limit) => {
      const child = spawn(program, args, {
        cwd: '/',
        env: SERVER_ENVIRONMENT,
        stdio: ['ignore', 'pipe', 'pipe'],
        signal: limit,
        killSignal: 'SIGKILL',
        ...(account !== undefined && { uid: account.uid, gid: account.gid }),
      });
      const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
      const [code, output, errors] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
      if (code !== 0) {
        const lines = `${output}\n${errors}`.trim().split('\n').slice(-3).join(' ');
        throw new StartError(`${program} failed: ${lines}`);
      }
    },
    timeoutMs,
    program,
    { signal },
  );
}

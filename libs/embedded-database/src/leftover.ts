import { readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { delay, StartError } from '@d7y/service-kit';

const POLL_MS = 50;
/** It ends by itself when it sees that who started it is gone; then it is told to. */
const STEPS = [
  { signal: undefined, waitMs: 3_000 },
  { signal: 'SIGINT', waitMs: 15_000 }, // disconnects clients and writes everything
  { signal: 'SIGQUIT', waitMs: 5_000 }, // does not write; the next start recovers
  { signal: 'SIGKILL', waitMs: 5_000 },
] as const;

/**
 * Ends the server of an earlier run that was killed, and removes a note of one that is gone: its process id may be somebody else's by now,
 * and PostgreSQL would then refuse to start. To be called by who holds the lock of the folder, so nobody else uses the server.
 * @returns what was found
 * @throws {StartError} it does not end
 */
export async function endLeftover(data: string, signal?: AbortSignal): Promise<'nothing' | 'stale' | 'ended'> {
  const pid = notedServer(data);
  if (pid === undefined) return 'nothing';
  if (!isServerOf(pid, data)) {
    rmSync(join(data, 'postmaster.pid'), { force: true });
    return 'stale';
  }
  for (const step of STEPS) {
    if (step.signal !== undefined) sendTo(pid, step.signal);
    const deadlineMs = performance.now() + step.waitMs;
    while (performance.now() < deadlineMs) {
      if (!isServerOf(pid, data)) return 'ended';
      await delay(POLL_MS, { signal });
    }
  }
  throw new StartError(`the PostgreSQL of an earlier run (process ${pid}) does not end, stop it`);
}

/** Process id in the server's note. */
export function notedServer(data: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
    return Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Whether that process works in the folder of the data, as the server of it does. */
export function isServerOf(pid: number, data: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(data);
  } catch {
    return false; // gone, or of a user whose processes we may not look at: not the one we started
  }
}

function sendTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

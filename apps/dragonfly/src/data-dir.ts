import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describeSystemError, StartError } from '@d7y/service-kit';

/** Where everything is kept unless told otherwise: /var/lib/dragonfly for root, the user's data directory for others. */
export function defaultDataDir(uid: number | undefined, env: Readonly<Record<string, string | undefined>>): string {
  if (uid === 0) return '/var/lib/dragonfly';
  return join(env['XDG_DATA_HOME'] ?? join(env['HOME'] ?? homedir(), '.local', 'share'), 'dragonfly');
}

/** @throws {StartError} the directory cannot be made */
export async function prepareDataDir(dataDir: string): Promise<void> {
  try {
    await mkdir(join(dataDir, 'run'), { recursive: true });
  } catch (error) {
    const reason = describeSystemError(error, dataDir) ?? `${dataDir}: ${String(error)}`;
    throw new StartError(`data directory ${reason} (--data-dir)`, { cause: error });
  }
}

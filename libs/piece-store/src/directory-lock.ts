import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { StoreLockedError } from './errors.ts';
import type { StorePaths } from './store-paths.ts';

const SQLITE_BUSY = 5;

/**
 * Takes the storage directory for this process. The lock is the kernel's, on a file that an empty database keeps open: it
 * goes with its process however that ends, so a stale one cannot exist, and no process id has to be believed.
 * @throws {StoreLockedError} another process, or this one, has it
 */
export function lockDirectory(paths: StorePaths): Disposable {
  const database = new DatabaseSync(paths.lock);
  try {
    database.exec('pragma journal_mode = memory; begin exclusive');
  } catch (error) {
    database.close();
    if ((error as { errcode?: unknown }).errcode === SQLITE_BUSY) {
      throw new StoreLockedError(paths.dir, readOwner(paths.lockOwner));
    }
    throw error;
  }
  writeFileSync(paths.lockOwner, `${process.pid}\n`);
  return {
    [Symbol.dispose]: () => {
      rmSync(paths.lockOwner, { force: true });
      database.close();
    },
  };
}

function readOwner(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'utf8').trim());
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

import { LockedError, lockForProcess } from '@d7y/service-kit';
import { StoreLockedError } from './errors.ts';
import type { StorePaths } from './store-paths.ts';

/**
 * Takes the storage directory for this process.
 * @throws {StoreLockedError} another process, or this one, has it
 */
export function lockDirectory(paths: StorePaths): Disposable {
  try {
    return lockForProcess(paths.lock, paths.lockOwner);
  } catch (error) {
    if (error instanceof LockedError) throw new StoreLockedError(paths.dir, error.owner);
    throw error;
  }
}

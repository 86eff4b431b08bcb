import { access, constants, mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StoreUnavailableError } from './errors.ts';
import type { StorePaths } from './store-paths.ts';

/**
 * Makes the folders of a store where they are missing. They are open to nobody else: private content is among them.
 * @throws {StoreUnavailableError}
 */
export async function prepareDirectory(paths: StorePaths): Promise<void> {
  try {
    await makeFolder(paths.dir, 0o777);
    for (const path of [paths.tasks, paths.metadata, paths.tmp]) await makeFolder(path, 0o700);
    for (const path of [paths.dir, paths.tasks, paths.metadata, paths.tmp]) {
      await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    }
  } catch (error) {
    throw new StoreUnavailableError(paths.dir, { cause: error });
  }
}

/** Deletes what a store holds, and nothing beside it. */
export async function wipeDirectory(paths: StorePaths): Promise<void> {
  for (const path of [paths.tasks, paths.metadata, paths.tmp]) await emptyFolder(path);
}

/** Deletes what is in a folder. */
export async function emptyFolder(path: string): Promise<void> {
  for (const name of await readdir(path)) await rm(join(path, name), { recursive: true, force: true });
}

/** Node's own recursive mkdir tries for ever where the kernel answers ENOENT although the parent exists, as in /proc. */
async function makeFolder(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    await makeFolder(dirname(path), mode);
    await mkdir(path, { mode });
  }
}

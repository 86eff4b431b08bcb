import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of its own for one test; gone afterwards. */
export interface TempDir extends AsyncDisposable {
  readonly path: string;
}

/** Makes a new empty folder, below the system's folder for such things or below `parent` (`/dev/shm` for one in memory). */
export async function tempDir(prefix = 'd7y', parent = tmpdir()): Promise<TempDir> {
  const path = await mkdtemp(join(parent, `${prefix}-`));
  return {
    path,
    // A process that is just ending may still write: node tries again.
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }),
  };
}

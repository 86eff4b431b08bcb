import { open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { requirePrograms } from '../process/programs.ts';
import { run } from '../process/run.ts';
import { tempDir } from './temp-dir.ts';

/** Bytes written at a time when filling. */
const BLOCK_BYTES = 65_536;

/** A file system of a few MiB that a test can fill up. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  /** Takes all free space but `leaveBytes`. */
  fill(leaveBytes?: number): Promise<void>;
  /** Gives back what fill took. */
  release(): Promise<void>;
}

/**
 * Mounts a tmpfs of `sizeBytes`.
 * @throws when this process is not root: only root may mount
 */
export async function smallDisk(sizeBytes: number): Promise<SmallDisk> {
  requirePrograms(['mount']);
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(await tempDir('d7y-disk'));
  await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes},mode=0755`, 'tmpfs', path]);
  stack.defer(() => run('umount', ['--lazy', path]).then(() => undefined));
  const ballast = join(path, '.ballast');
  const resources = stack.move();
  return {
    path,
    async fill(leaveBytes = 0) {
      const { bavail, bsize } = await statfs(path);
      await using file = await open(ballast, 'a');
      const block = Buffer.alloc(BLOCK_BYTES);
      try {
        for (let left = bavail * bsize - leaveBytes; left > 0; left -= BLOCK_BYTES) {
          await file.write(block, 0, Math.min(left, BLOCK_BYTES));
        }
      } catch (error) {
        // A program under test that writes too has helped to fill it.
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    },
    release: () => rm(ballast, { force: true }),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

import {
  chmodSync,
  chownSync,
  constants,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { StartError } from '@d7y/service-kit';
import type { Account } from './account.ts';
import type { Layout } from './layout.ts';
import { firstClosedFolder, mayEnter } from './reach.ts';

/**
 * Makes the folders, so that the server's account can use them and nobody else.
 * @throws {StartError} a folder above is closed to that account, or the socket's folder belongs to somebody else
 */
export function prepareFolders({ folder, socketFolder }: Layout, account: Account | undefined): void {
  mkdirSync(folder, { recursive: true, mode: account === undefined ? 0o700 : 0o711 });
  if (account !== undefined) {
    openTo(dirname(folder), account);
    openTo(folder, account);
    const closed = firstClosedFolder(folder, account);
    if (closed !== undefined) {
      throw new StartError(
        `PostgreSQL runs as user ${account.name}, which may not enter ${closed}: choose another data directory, or chmod o+x ${closed}`,
      );
    }
  }
  mkdirSync(socketFolder, { recursive: true, mode: 0o700 });
  const found = lstatSync(socketFolder);
  const owner = account?.uid ?? process.getuid?.();
  if (!found.isDirectory() || (found.uid !== owner && found.uid !== process.getuid?.())) {
    throw new StartError(`${socketFolder} belongs to somebody else, remove it or choose another data directory`);
  }
  giveTo(socketFolder, account);
  chmodSync(socketFolder, 0o700);
}

export function giveTo(path: string, account: Account | undefined): void {
  if (account !== undefined) chownSync(path, account.uid, account.gid);
}

/** Lets the account pass through a folder of ours, and see nothing more of it. Folders further up are not ours to open. */
function openTo(folder: string, account: Account): void {
  const { uid, mode } = statSync(folder);
  if (uid !== process.getuid?.() || mayEnter(folder, account)) return;
  chownSync(folder, uid, account.gid);
  chmodSync(folder, (mode & 0o7707) | 0o010);
}

/**
 * The programs where the server's account can start them: as they are, or else a copy beside the data (a checkout below /root is closed
 * to everybody but root).
 */
export function reachableSoftware(software: string, { software: copy }: Layout, account: Account | undefined): string {
  const program = join(software, 'bin', 'postgres');
  if (account === undefined || firstClosedFolder(program, account) === undefined) return software;
  const mark = join(copy, `of-${statSync(program).mtimeMs}-${statSync(program).size}`);
  if (existsSync(mark)) return copy;
  const staging = `${copy}.new`;
  for (const path of [staging, copy]) rmSync(path, { recursive: true, force: true });
  cpSync(software, staging, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE });
  mkdirSync(join(staging, `of-${statSync(program).mtimeMs}-${statSync(program).size}`));
  chmodSync(staging, 0o755);
  renameSync(staging, copy);
  return copy;
}

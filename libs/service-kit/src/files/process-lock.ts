import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { DfError } from '@d7y/piece';

const SQLITE_BUSY = 5;

/** Another process, or this one, has what it takes a lock to use. */
export class LockedError extends DfError {
  override readonly name = 'LockedError';
  readonly code = 'LOCKED';
  readonly retryable = true;
  /** Process id of who has it, when known. */
  readonly owner: number | undefined;
  constructor(path: string, owner: number | undefined) {
    super(`${path} is locked by ${owner === undefined ? 'another process' : `process ${owner}`}`);
    this.owner = owner;
  }
}

/**
 * Takes the lock file for this process until it is disposed. The lock is the kernel's, on a file that an empty database keeps open: it
 * goes with its process however that ends, so a stale one cannot exist, and no process id has to be believed.
 * @param ownerPath a file that names the process, for people
 * @throws {LockedError}
 */
export function lockForProcess(path: string, ownerPath: string): Disposable {
  // Not imported: programs that take no lock need not load it.
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  writeFileSync(path, '', { flag: 'a', mode: 0o600 }); // who can open it can lock it
  const database = new DatabaseSync(path);
  try {
    database.exec('pragma journal_mode = memory; begin exclusive');
  } catch (error) {
    database.close();
    if ((error as { errcode?: unknown }).errcode === SQLITE_BUSY) throw new LockedError(path, readOwner(ownerPath));
    throw error;
  }
  writeFileSync(ownerPath, `${process.pid}\n`);
  return {
    [Symbol.dispose]: () => {
      rmSync(ownerPath, { force: true });
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

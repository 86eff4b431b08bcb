import { readFileSync } from 'node:fs';
import { StartError } from '@d7y/service-kit';

/** Whom the server runs as. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Accounts without rights that a system has; the first one that exists is taken. */
const UNPRIVILEGED = ['postgres', 'nobody'];

/**
 * Whom PostgreSQL may run as when this process is root, as which it refuses to run: the owner of the data when there is some, else a user
 * `postgres`, else `nobody`. No user is added to the system.
 * @returns undefined when this process is not root: the server runs as its user
 * @throws {StartError} there is no such user
 */
export function serverAccount(
  uid: number | undefined,
  dataOwner: number | undefined,
  accounts: readonly Account[] = readAccounts(),
): Account | undefined {
  if (uid !== 0) return undefined;
  const wanted =
    dataOwner === undefined || dataOwner === 0
      ? UNPRIVILEGED.map((name) => accounts.find((account) => account.name === name)).find(
          (found) => found !== undefined,
        )
      : accounts.find((account) => account.uid === dataOwner);
  if (wanted !== undefined) return wanted;
  throw new StartError(
    dataOwner === undefined || dataOwner === 0
      ? 'PostgreSQL does not run as root and this system has no user postgres or nobody: add one, or run as another user'
      : `the database belongs to user ${dataOwner}, which this system does not have: add it, or change the owner of the database`,
  );
}

export function readAccounts(path = '/etc/passwd'): Account[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [name, , uid, gid] = line.split(':');
      return name === undefined || name === '' || gid === undefined
        ? []
        : [{ name, uid: Number(uid), gid: Number(gid) }];
    });
}

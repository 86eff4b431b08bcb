import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What lies in the folder of an embedded database. */
export interface Layout {
  readonly folder: string;
  /** The cluster, as PostgreSQL calls its data; belongs to whom the server runs as. */
  readonly data: string;
  /** A cluster being made; becomes `data` by renaming, so that half of one is never used. */
  readonly staging: string;
  /** Where the unix socket is. */
  readonly socketFolder: string;
  /** Of the superuser, for its owner only. */
  readonly password: string;
  readonly lock: string;
  readonly lockOwner: string;
  readonly log: string;
  /** A copy of the programs, where they lie out of the server's reach. */
  readonly software: string;
}

export const SOCKET_PORT = 5432;
/** sockaddr_un holds 108 bytes with the final zero. */
const MAX_SOCKET_PATH = 107;

export function layoutOf(folder: string): Layout {
  const socketFolder = join(folder, 'run');
  return {
    folder,
    data: join(folder, 'data'),
    staging: join(folder, 'data.new'),
    socketFolder:
      Buffer.byteLength(join(socketFolder, `.s.PGSQL.${SOCKET_PORT}.lock`)) < MAX_SOCKET_PATH
        ? socketFolder
        : shortFolder(folder),
    password: join(folder, 'password'),
    lock: join(folder, 'lock'),
    lockOwner: join(folder, 'lock.owner'),
    log: join(folder, 'server.log'),
    software: join(folder, 'software'),
  };
}

/** The same for the same folder, and of this user alone. */
function shortFolder(folder: string): string {
  const short = createHash('sha256').update(folder).digest('hex').slice(0, 16);
  return join(tmpdir(), `d7y-database-${process.getuid?.() ?? 0}-${short}`);
}

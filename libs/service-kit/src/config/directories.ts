import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where files live unless configured: the system's directories for root, the user's own for anybody else. */
export interface Directories {
  /** Content and metadata of tasks. */
  readonly storage: string;
  /** Directory of the unix socket. */
  readonly runtime: string;
  readonly config: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/** @param uid of the process; undefined where there is no such thing */
export function defaultDirectories(uid: number | undefined, env: Env): Directories {
  if (uid === 0) return { storage: '/var/lib/dragonfly', runtime: '/var/run/dragonfly', config: '/etc/dragonfly' };
  const home = env['HOME'] ?? homedir();
  const dataHome = env['XDG_DATA_HOME'] ?? join(home, '.local', 'share');
  return {
    storage: join(dataHome, 'dragonfly'),
    runtime: join(env['XDG_RUNTIME_DIR'] ?? join(dataHome, 'run'), 'dragonfly'),
    config: join(env['XDG_CONFIG_HOME'] ?? join(home, '.config'), 'dragonfly'),
  };
}

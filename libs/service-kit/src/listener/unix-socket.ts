import { lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { StartError } from '../lifecycle/start-error.ts';

const PROBE_MS = 1_000;

/**
 * Makes room for a unix socket: removes one that nobody listens on any more.
 * @throws {StartError} when a process answers there, or something else than a socket is in the way
 */
export async function removeStaleSocket(path: string): Promise<void> {
  const entry = await lstat(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
  if (entry === undefined) return;
  if (!entry.isSocket()) throw new StartError(`${path}: exists and is no socket, remove it or configure another path`);
  if (await isAnswered(path))
    throw new StartError(`${path}: another process listens on this socket, stop it or configure another path`);
  await unlink(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  });
}

/** Only a refused connection proves that nobody is there. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.setTimeout(PROBE_MS, () => settle(true));
    socket.once('connect', () => settle(true));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      settle(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}

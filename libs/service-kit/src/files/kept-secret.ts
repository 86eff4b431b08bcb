import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Secret } from '../observe/secret.ts';

/**
 * The secret in a file that only its owner can read; where there is none, a new one is written first. Of several processes that make it at
 * once, all get the same.
 * @param create makes a new one; a line
 */
export function keptSecret(path: string, create: () => string): Secret {
  try {
    return new Secret(readFileSync(path, 'utf8').trim());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const written = `${path}.${process.pid}`;
  rmSync(written, { force: true });
  writeFileSync(written, `${create()}\n`, { mode: 0o600, flag: 'wx', flush: true });
  try {
    linkSync(written, path); // all of it, or nothing
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(written, { force: true });
  }
  return new Secret(readFileSync(path, 'utf8').trim());
}

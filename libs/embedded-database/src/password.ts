import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Secret } from '@d7y/service-kit';

/** The password in the file; a new random one is written there first when there is none. Only the file's owner can read it. */
export function keptPassword(path: string): Secret {
  try {
    return new Secret(readFileSync(path, 'utf8').trim());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const written = `${path}.new`;
  rmSync(written, { force: true });
  writeFileSync(written, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600, flush: true });
  linkSync(written, path); // all of it, or nothing
  rmSync(written);
  return new Secret(readFileSync(path, 'utf8').trim());
}

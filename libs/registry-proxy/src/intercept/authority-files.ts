import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CertificateAuthority } from './authority.ts';

/** The files of an authority. */
export interface AuthorityFiles {
  /** What clients have to trust. */
  readonly certificatePath: string;
  readonly keyPath: string;
}

/**
 * Reads an authority.
 * @throws {AuthorityError} @throws the error of the file system, with the path
 */
export async function readAuthority(
  { certificatePath, keyPath }: AuthorityFiles,
  nowMs: number,
): Promise<CertificateAuthority> {
  return CertificateAuthority.load(await readFile(certificatePath, 'utf8'), await readFile(keyPath, 'utf8'), nowMs);
}

/**
 * Makes an authority in a directory of its own, unless it is there already. Both files come to be at once or not at all; the key is readable
 * for its owner only.
 * @param name what users see of it in lists of authorities
 */
export async function keepAuthority(directory: string, name: string, nowMs: number): Promise<AuthorityFiles> {
  const files = { certificatePath: join(directory, 'ca.crt'), keyPath: join(directory, 'ca.key') };
  await mkdir(dirname(directory), { recursive: true });
  const made = await mkdtemp(`${directory}.new-`);
  try {
    const { certificate, key } = await CertificateAuthority.create(name, nowMs);
    await writeFile(join(made, 'ca.key'), key, { mode: 0o600 });
    await writeFile(join(made, 'ca.crt'), certificate, { mode: 0o644 });
    await rename(made, directory);
  } catch (error) {
    await rm(made, { recursive: true, force: true });
    // A directory with something in it is not replaced: what clients trust stays.
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
  return files;
}

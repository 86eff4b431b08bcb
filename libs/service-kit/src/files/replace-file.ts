import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';

/**
 * Puts a small file in the place of another one: a reader sees the old or the new, never a part, also after a crash of the process.
 * @param options.flush the content is on the disk itself before it takes the name: also after the machine loses power
 * @throws what the file system throws; nothing is left behind then
 */
export async function replaceFile(
  path: string,
  text: string,
  { mode = 0o644, flush = false }: { mode?: number; flush?: boolean } = {},
): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  try {
    await using file = await open(temporary, 'wx', mode);
    await file.writeFile(text);
    if (flush) await file.sync();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}

import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';

/**
 * Puts a small file in the place of another one: a reader sees the old or the new, never a part, also after a crash of the process.
 * @throws what the file system throws; nothing is left behind then
 */
export async function replaceFile(path: string, text: string, { mode = 0o644 }: { mode?: number } = {}): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  try {
    await using file = await open(temporary, 'wx', mode);
    await file.writeFile(text);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}

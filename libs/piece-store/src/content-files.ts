import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorePaths } from './store-paths.ts';

/** Names of the folders below `content/tasks`; what is no folder there is nobody's, and deleted. */
export async function contentFolders(paths: StorePaths): Promise<string[]> {
  const folders: string[] = [];
  for (const entry of await readdir(paths.tasks, { withFileTypes: true })) {
    if (entry.isDirectory()) folders.push(entry.name);
    else await rm(join(paths.tasks, entry.name), { force: true });
  }
  return folders;
}

/** Names of the files in one of those folders; what is no file there is deleted. */
export async function contentFiles(paths: StorePaths, folder: string): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(join(paths.tasks, folder), { withFileTypes: true })) {
    if (entry.isFile()) files.push(entry.name);
    else await rm(join(paths.tasks, folder, entry.name), { recursive: true, force: true });
  }
  return files;
}

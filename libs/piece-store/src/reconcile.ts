import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { LoadedTask } from './metadata.ts';
import type { StorePaths } from './store-paths.ts';
import { taskPath } from './store-paths.ts';

/** What is left when content and metadata agree. */
export interface Reconciled {
  readonly whole: LoadedTask[];
  /** Tasks whose file has another length than it was given. */
  readonly damaged: LoadedTask[];
  /** Tasks without a file. */
  readonly lost: LoadedTask[];
  /** Files without a task, which have been deleted. */
  readonly orphanCount: number;
}

/** Compares the files below `content/tasks` with the tasks that should be there, and deletes those that belong to none. */
export async function reconcile(paths: StorePaths, tasks: readonly LoadedTask[]): Promise<Reconciled> {
  const expected = new Map(tasks.map((task) => [taskPath(paths, task.row.taskId), task]));
  const [whole, damaged]: [LoadedTask[], LoadedTask[]] = [[], []];
  let orphanCount = 0;
  for (const folder of await readdir(paths.tasks, { withFileTypes: true })) {
    const folderPath = join(paths.tasks, folder.name);
    if (!folder.isDirectory()) {
      await rm(folderPath, { force: true });
      continue;
    }
    for (const file of await readdir(folderPath, { withFileTypes: true })) {
      const path = join(folderPath, file.name);
      const task = file.isFile() ? expected.get(path) : undefined;
      if (task === undefined) {
        await rm(path, { recursive: true, force: true });
        orphanCount++;
        continue;
      }
      expected.delete(path);
      const { size } = await stat(path);
      (size === task.row.layout.contentLength ? whole : damaged).push(task);
    }
  }
  return { whole, damaged, lost: [...expected.values()], orphanCount };
}

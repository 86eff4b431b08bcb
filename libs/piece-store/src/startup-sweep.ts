import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@d7y/service-kit';
import { contentFiles, contentFolders } from './content-files.ts';
import type { DiskTask } from './disk-task.ts';
import { StoreClosedError } from './errors.ts';
import type { StorePaths } from './store-paths.ts';
import { isTaskId } from './store-paths.ts';

/** How often a long sweep says how far it is. */
const REPORT_INTERVAL_MS = 10_000;
/** Folders brought into agreement at a time: between two of them others get their turn. */
const FOLDERS_AT_ONCE = 16;

/** What the sweep needs of the store. */
export interface SweptStore {
  readonly paths: StorePaths;
  readonly logger: Logger;
  tasks(): Iterable<DiskTask>;
  find(taskId: string): DiskTask | undefined;
  /** No task is made or removed while the work lasts. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
  /** Inside `exclusively`: forgets a task whose file is gone. */
  forget(task: DiskTask): Promise<void>;
  /** Resolves once the task's pieces match their CRC. */
  verify(task: DiskTask): Promise<void>;
  /** Makes a task of a content file without records, or deletes the file. */
  recover(taskId: string): Promise<void>;
}

/** What became of files and records that did not belong together. */
export interface Disagreements {
  /** Records without a file. */
  lost: number;
  /** Files of another length than their record says. */
  damaged: number;
  /** Files without a record. */
  orphans: number;
}

/**
 * Brings files and records into agreement after an opening: records without files go, files without records too. A store finds most
 * of its tasks where they should be, so it serves meanwhile; a task that is asked for is looked at then.
 * @param isRecovering the records were lost: files without one may become tasks again
 * @returns ids of files that may be recovered
 */
export async function reconcile(
  store: SweptStore,
  { isRecovering }: { isRecovering: boolean },
): Promise<Disagreements & { readonly recoverable: string[] }> {
  const { paths, logger } = store;
  const found = { lost: 0, damaged: 0, orphans: 0, recoverable: [] as string[] };
  const folders = await contentFolders(paths);
  let reportedAtMs = performance.now();
  for (let next = 0; next < folders.length; next += FOLDERS_AT_ONCE) {
    const some = folders.slice(next, next + FOLDERS_AT_ONCE);
    await store.exclusively(async () => {
      await Promise.all(some.map((folder) => reconcileFolder(store, folder, isRecovering, found)));
    });
    if (performance.now() - reportedAtMs < REPORT_INTERVAL_MS) continue;
    reportedAtMs = performance.now();
    logger.info({ folders: next, of: folders.length }, 'comparing content with its records');
  }
  const unseen = [...store.tasks()].filter((task) => !task.isChecked);
  for (let next = 0; next < unseen.length; next += FOLDERS_AT_ONCE) {
    await store.exclusively(async () => {
      for (const task of unseen.slice(next, next + FOLDERS_AT_ONCE)) {
        // Somebody may have asked for it meanwhile, and it may have been made anew.
        if (task.isChecked || store.find(task.taskId) !== task) continue;
        await store.forget(task);
        found.lost++;
      }
    });
  }
  return found;
}

async function reconcileFolder(
  store: SweptStore,
  folder: string,
  isRecovering: boolean,
  found: Disagreements & { readonly recoverable: string[] },
): Promise<void> {
  for (const name of await contentFiles(store.paths, folder)) {
    const path = join(store.paths.tasks, folder, name);
    const isInPlace = isTaskId(name) && name.startsWith(folder) && folder.length === 3;
    const task = isInPlace ? store.find(name) : undefined;
    if (task !== undefined) {
      if (task.isChecked) continue;
      task.check((await stat(path)).size);
      if (task.isSuspect) found.damaged++;
    } else if (isInPlace && isRecovering) {
      found.recoverable.push(name);
    } else {
      await rm(path, { force: true });
      found.orphans++;
    }
  }
}

/** Verifies what a machine that went down left, and recovers what has lost its records, one after the other. */
export async function mend(store: SweptStore, recoverable: readonly string[]): Promise<void> {
  const { logger } = store;
  const suspects = [...store.tasks()].filter((task) => task.isSuspect);
  const of = recoverable.length + suspects.length;
  if (of === 0) return;
  logger.info(
    { suspects: suspects.length, withoutRecords: recoverable.length },
    'reading content to see what survived',
  );
  let done = 0;
  let reportedAtMs = performance.now();
  const report = (): void => {
    done++;
    if (performance.now() - reportedAtMs < REPORT_INTERVAL_MS) return;
    reportedAtMs = performance.now();
    logger.info({ done, of }, 'reading content to see what survived');
  };
  /** What cannot be read costs nobody else. */
  const attempt = async (taskId: string, work: Promise<void>): Promise<void> => {
    await work.catch((error: unknown) => {
      if (error instanceof StoreClosedError) throw error;
      logger.warn({ err: error, taskId }, 'content cannot be read');
    });
    report();
  };
  for (const task of suspects) await attempt(task.taskId, store.verify(task));
  let recovered = 0;
  for (const taskId of recoverable) {
    await attempt(taskId, store.recover(taskId));
    if (store.find(taskId) !== undefined) recovered++;
  }
  logger.info({ suspects: suspects.length, withoutRecords: recoverable.length, recovered }, 'content has been read');
}

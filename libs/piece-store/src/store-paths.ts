import { join, sep } from 'node:path';

/** Where things are below the storage directory. */
export interface StorePaths {
  readonly dir: string;
  /** One sparse file per task: `<first 3 characters>/<task id>`. */
  readonly tasks: string;
  readonly metadata: string;
  readonly database: string;
  /** Content that is deleted but still read; emptied at each start. */
  readonly tmp: string;
  /** Held by the process that uses the directory. */
  readonly lock: string;
  /** Its process id, for the message another process prints. */
  readonly lockOwner: string;
}

export function storePaths(dir: string): StorePaths {
  const metadata = join(dir, 'metadata');
  return {
    dir,
    tasks: join(dir, 'content', 'tasks'),
    metadata,
    database: join(metadata, 'tasks.db'),
    tmp: join(dir, 'tmp'),
    lock: join(dir, 'store.lock'),
    lockOwner: join(dir, 'store.pid'),
  };
}

/** Only such ids become file names; others would be a way out of the directory. */
export function isTaskId(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

export function taskPath(paths: StorePaths, taskId: string): string {
  return `${paths.tasks}${sep}${taskId.slice(0, 3)}${sep}${taskId}`;
}

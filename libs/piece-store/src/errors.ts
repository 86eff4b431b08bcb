import { DfError } from '@d7y/piece';

/** Another process uses the storage directory. */
export class StoreLockedError extends DfError {
  override readonly name = 'StoreLockedError';
  readonly code = 'STORE_LOCKED';
  readonly retryable = false;
  readonly dir: string;
  /** Of the other process, as it sees itself; undefined when it left no note. */
  readonly otherPid: number | undefined;
  constructor(dir: string, otherPid: number | undefined) {
    super(
      `storage directory ${dir} is in use by ${otherPid === undefined ? 'another process' : `process ${otherPid}`}`,
    );
    this.dir = dir;
    this.otherPid = otherPid;
  }
}

/** The directory was written by a later release, whose format this one does not know. */
export class StoreFormatError extends DfError {
  override readonly name = 'StoreFormatError';
  readonly code = 'STORE_FORMAT';
  readonly retryable = false;
  readonly dir: string;
  readonly found: number;
  readonly known: number;
  constructor(dir: string, found: number, known: number) {
    super(
      `storage directory ${dir} has format ${found}, this release knows formats up to ${known}: use the later release, or another directory`,
    );
    this.dir = dir;
    this.found = found;
    this.known = known;
  }
}

/** The directory cannot be made, read or written. */
export class StoreUnavailableError extends DfError {
  override readonly name = 'StoreUnavailableError';
  readonly code = 'STORE_UNAVAILABLE';
  readonly retryable = false;
  readonly path: string;
  constructor(path: string, options: { cause: unknown }) {
    const reason = options.cause instanceof Error ? options.cause.message : String(options.cause);
    super(`storage directory ${path} cannot be used: ${reason}`, options);
    this.path = path;
  }
}

/** The store has been closed. */
export class StoreClosedError extends DfError {
  override readonly name = 'StoreClosedError';
  readonly code = 'STORE_CLOSED';
  readonly retryable = false;
  constructor(dir: string) {
    super(`the store in ${dir} is closed`);
  }
}

/** The task was deleted, and whoever still read it has left; or the store is closed. */
export class TaskRemovedError extends DfError {
  override readonly name = 'TaskRemovedError';
  readonly code = 'TASK_REMOVED';
  readonly retryable = true;
  readonly taskId: string;
  constructor(taskId: string) {
    super(`task ${taskId} has been removed from the store`);
    this.taskId = taskId;
  }
}

/** What should be on disk is not: somebody cut or removed the content file. */
export class ContentLostError extends DfError {
  override readonly name = 'ContentLostError';
  readonly code = 'CONTENT_LOST';
  readonly retryable = true;
  readonly path: string;
  constructor(path: string, position: number) {
    super(`${path} ends before byte ${position}, which it should hold`);
    this.path = path;
  }
}

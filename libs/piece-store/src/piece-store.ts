import { statSync } from 'node:fs';
import { mkdir, open, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { NewTask, StoredTask, TaskStore } from '@d7y/peer-engine';
import { PieceSet } from '@d7y/piece';
import type { Logger } from '@d7y/service-kit';
import type { EvictionPolicy } from '@d7y/storage-gc';
import type { ChangeJournal } from './change-journal.ts';
import { recoverTask } from './content-recovery.ts';
import { isDiskFull, translateDiskFull } from './disk-full.ts';
import type { MeasureDisk, StoreUsage } from './disk-space.ts';
import { DiskTask } from './disk-task.ts';
import type { DiskTaskContext } from './disk-task.ts';
import { StoreClosedError } from './errors.ts';
import type { HandleCache } from './handle-cache.ts';
import type { LoadedTask, TaskMetadata } from './metadata.ts';
import { Pace } from './pace.ts';
import { SpaceLedger } from './space-ledger.ts';
import type { Disagreements, SweptStore } from './startup-sweep.ts';
import { mend, reconcile } from './startup-sweep.ts';
import type { StorePaths } from './store-paths.ts';
import { isTaskId, taskPath } from './store-paths.ts';
import { StoreSpace } from './store-space.ts';
import { verifyTask } from './verification.ts';

/** Files synced at the same time when the store closes. */
const SYNC_CONCURRENCY = 8;

export interface PieceStoreInit {
  readonly paths: StorePaths;
  readonly metadata: TaskMetadata;
  readonly journal: ChangeJournal;
  readonly handles: HandleCache;
  /** Everything else that has to be given back, in order. */
  readonly resources: AsyncDisposableStack;
  readonly policy: EvictionPolicy;
  readonly measureDisk: MeasureDisk;
  readonly onEvict: (taskId: string) => void;
  readonly clock: () => number;
  readonly logger: Logger;
  /** A clean end waits for the disk no longer than this. */
  readonly closeSyncMs: number;
}

/**
 * Tasks on disk. Owner of which tasks exist; the content of a task is its DiskTask's, who gets how much space StoreSpace's business.
 * Admission, eviction and removal go through one queue, so that two of them never spend the same bytes.
 */
export class PieceStore implements TaskStore, AsyncDisposable {
  readonly #init: PieceStoreInit;
  readonly #tasks = new Map<string, DiskTask>();
  readonly #ledger: SpaceLedger;
  readonly #space: StoreSpace;
  readonly #context: DiskTaskContext;
  readonly #mending = new Map<DiskTask | string, { readonly done: Promise<void>; readonly pace: Pace }>();
  readonly #stop = new AbortController();
  /** Files that may become tasks again. */
  #recoverable = new Set<string>();
  #sweep: Promise<void> = Promise.resolve();
  #queue: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  /** @param found tasks that the metadata has */
  constructor(init: PieceStoreInit, found: Iterable<LoadedTask>) {
    const { paths, handles, journal, metadata, clock, policy, measureDisk, onEvict, logger } = init;
    this.#init = init;
    this.#ledger = new SpaceLedger(clock);
    this.#space = new StoreSpace({
      ...{ path: paths.tasks, policy, measureDisk, ledger: this.#ledger, clock, logger, onEvict },
      tasks: () => this.#tasks.values(),
      find: (taskId) => this.#tasks.get(taskId),
      remove: (task) => this.#remove(task),
      exclusively: (work) => this.#inTurn(work),
    });
    this.#context = {
      ...{ handles, journal, metadata, paths, clock, ledger: this.#ledger },
      isClosed: () => this.#closing !== undefined,
      onGrown: (bytes) => this.#space.grown(bytes),
      relieve: (neededBytes) => this.#space.relieve(neededBytes),
      onTrouble: (error, message) => logger.warn({ err: error }, message),
    };
    for (const task of found) this.#adopt(task);
  }

  /** A task that is being verified is not there yet; asking for it is what makes that hurry. */
  get(taskId: string): StoredTask | undefined {
    const task = this.#tasks.get(taskId);
    if (task === undefined) {
      if (this.#recoverable.has(taskId)) this.#inBackground(this.#recover(taskId, { isUrgent: true }));
      return undefined;
    }
    if (!this.#isThere(task)) return undefined;
    if (!task.isSuspect) return task;
    this.#inBackground(this.#verify(task, { isUrgent: true }));
    return undefined;
  }

  async create(newTask: NewTask): Promise<StoredTask> {
    const { taskId, layout } = newTask;
    if (!isTaskId(taskId)) throw new RangeError(`"${taskId}" is not a task id`);
    if (this.#recoverable.has(taskId)) await this.#recover(taskId, { isUrgent: true });
    const known = this.#tasks.get(taskId);
    if (known !== undefined && this.#isThere(known) && known.isSuspect && hasLayout(known, newTask)) {
      await this.#verify(known, { isUrgent: true });
    }
    return this.#inTurn(async () => {
      const existing = this.#tasks.get(taskId);
      if (existing === undefined || !this.#isThere(existing) || !hasLayout(existing, newTask)) {
        if (existing !== undefined) await this.#remove(existing);
        await this.#space.makeRoom(layout.contentLength);
        return this.#add(newTask);
      }
      if (!existing.isComplete) {
        using _held = existing.hold();
        await this.#space.makeRoom(existing.missingBytes, existing);
        existing.touch();
      }
      this.#ledger.expect(existing);
      return existing;
    });
  }

  delete(taskId: string): Promise<void> {
    return this.#inTurn(async () => {
      const task = this.#tasks.get(taskId);
      if (task !== undefined) await this.#remove(task);
    });
  }

  *list(): Iterable<StoredTask> {
    for (const task of [...this.#tasks.values()]) if (!task.isSuspect) yield task;
  }

  usage(): Promise<StoreUsage> {
    return this.#space.usage(this.#tasks.size);
  }

  /**
   * Evicts what is too old, and the least recently used above the watermarks; call it from time to time for the sake of the former,
   * the latter happens by itself.
   * @returns ids of the evicted tasks
   */
  collectGarbage(): Promise<string[]> {
    return this.#space.collect().finally(() => {
      if (this.#closing === undefined) this.#init.metadata.noteTime(this.#init.clock());
    });
  }

  /**
   * Begins to bring content and records into agreement; what must be read for that is read in the background.
   * @param isRecovering the records were lost, some of them may be rebuilt
   * @param waitMs resolves after this time, done or not
   */
  async sweep({ isRecovering, waitMs }: { isRecovering: boolean; waitMs: number }): Promise<void> {
    const compared = this.#compare(isRecovering);
    this.#sweep = compared
      .then((recoverable) => mend(this.#swept(), recoverable))
      .catch((error: unknown) => {
        if (this.#closing === undefined) this.#init.logger.warn({ err: error }, 'content and records may disagree');
      });
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, waitMs)));
    await Promise.race([compared.catch(() => undefined), timeout]);
    clearTimeout(timer);
  }

  /** Resolves when the sweep that `sweep` began is over, whatever became of it. */
  async swept(): Promise<void> {
    await this.#sweep;
  }

  /** Ends cleanly: what was written is on the disk itself when the promise resolves, so the next opening trusts it. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { journal, logger, resources, metadata, clock } = this.#init;
    this.#stop.abort(new StoreClosedError(this.#init.paths.dir));
    await this.#queue.catch(() => undefined);
    await this.#sweep;
    await Promise.allSettled([...this.#mending.values()].map(({ done }) => done));
    let isClean = false;
    try {
      for (const task of this.#tasks.values()) task.noteUse();
      journal.flush();
      metadata.noteTime(clock());
      isClean = await this.#syncAll();
    } catch (error) {
      logger.warn(
        { err: error },
        'the store could not be synced; its pieces may have to be verified at the next start',
      );
    }
    resources.defer(() => metadata.close({ isClean }));
    resources.use(this.#init.handles);
    resources.use(journal);
    await resources.disposeAsync();
  }

  /** @returns whether all of it reached the disk in time */
  async #syncAll(): Promise<boolean> {
    const dirty = [...this.#tasks.values()].filter((task) => task.isDirty).values();
    const deadline = AbortSignal.timeout(this.#init.closeSyncMs);
    const worker = async (): Promise<void> => {
      for (const task of dirty) {
        if (deadline.aborted) return;
        await task.sync();
      }
    };
    await Promise.all(Array.from({ length: SYNC_CONCURRENCY }, worker));
    return !deadline.aborted;
  }

  #adopt({ row, pieces }: LoadedTask): DiskTask {
    const task = new DiskTask(row, pieces, this.#context);
    this.#tasks.set(row.taskId, task);
    return task;
  }

  /** Looks for the file of a task that the sweep has not come to yet; a few microseconds, once a task. */
  #isThere(task: DiskTask): boolean {
    if (task.isChecked) return true;
    const file = statSync(taskPath(this.#init.paths, task.taskId), { throwIfNoEntry: false });
    if (!file?.isFile()) return false;
    task.check(file.size);
    return true;
  }

  async #add(newTask: NewTask): Promise<StoredTask> {
    const { paths, metadata, clock } = this.#init;
    const path = taskPath(paths, newTask.taskId);
    const { contentLength } = newTask.layout;
    const add = async (): Promise<DiskTask> => {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const handle = await open(path, 'w', 0o600);
      try {
        await handle.truncate(contentLength);
      } finally {
        await handle.close();
      }
      return this.#adopt({ row: metadata.insert(newTask, clock()), pieces: new PieceSet() });
    };
    let task: DiskTask;
    try {
      task = await add().catch(async (error: unknown) => {
        if (!isDiskFull(error) || !(await this.#space.evictFor(contentLength))) throw error;
        return add();
      });
    } catch (error) {
      await unlink(path).catch(() => undefined);
      throw translateDiskFull(error, path, contentLength);
    }
    task.check(contentLength);
    this.#ledger.expect(task);
    return task;
  }

  async #remove(task: DiskTask): Promise<void> {
    const { journal, paths, logger } = this.#init;
    this.#tasks.delete(task.taskId);
    journal.forget(task.key);
    journal.add({ kind: 'remove', key: task.key });
    try {
      journal.flush();
    } catch (error) {
      // A full disk may have no room for the note either; deleting the content is what helps then.
      logger.warn({ err: error, taskId: task.taskId }, 'the records of a removed task stay for now; trying again');
    }
    await task.remove(join(paths.tmp, `${task.taskId}.${task.key}`));
  }

  #swept(): SweptStore {
    const { paths, logger } = this.#init;
    return {
      ...{ paths, logger },
      tasks: () => this.#tasks.values(),
      find: (taskId) => this.#tasks.get(taskId),
      exclusively: (work) => this.#inTurn(work),
      forget: (task) => this.#remove(task),
      verify: (task) => this.#verify(task),
      recover: (taskId) => this.#recover(taskId),
    };
  }

  /** @returns ids of files that may be recovered */
  async #compare(isRecovering: boolean): Promise<readonly string[]> {
    const { recoverable, ...found } = await reconcile(this.#swept(), { isRecovering });
    this.#recoverable = new Set(recoverable);
    const disagreements: Partial<Disagreements> = Object.fromEntries(
      Object.entries(found).filter(([, count]) => count > 0),
    );
    if (Object.keys(disagreements).length > 0) {
      this.#init.logger.warn(disagreements, 'content and records did not agree; what was without the other is gone');
    }
    return recoverable;
  }

  /** A task's pieces count once they match their CRC. */
  async #verify(task: DiskTask, options: { isUrgent?: boolean } = {}): Promise<void> {
    if (!task.isSuspect) return;
    await this.#mend(task, options, async (pace) => {
      const wrong = await verifyTask(task, pace);
      if (wrong.length === 0) return;
      const counts = { wrong: wrong.length, of: task.layout.pieceCount };
      this.#init.logger.warn({ taskId: task.taskId, ...counts }, 'pieces did not survive the end of the machine');
    });
  }

  /** A file whose bytes prove what they are becomes a task; any other is deleted. */
  async #recover(taskId: string, options: { isUrgent?: boolean } = {}): Promise<void> {
    if (!this.#recoverable.has(taskId)) return;
    await this.#mend(taskId, options, async (pace) => {
      const { paths, metadata, clock, journal } = this.#init;
      const path = taskPath(paths, taskId);
      const recovered = await recoverTask(path, taskId, clock(), pace);
      await this.#inTurn(async () => {
        this.#recoverable.delete(taskId);
        if (recovered === undefined) return unlink(path);
        const row = metadata.insert(recovered.task, clock());
        for (const piece of recovered.pieces) journal.add({ kind: 'piece', key: row.key, piece });
        journal.add({ kind: 'complete', key: row.key });
        journal.flush();
        this.#adopt({ row: { ...row, isComplete: true }, pieces: undefined }).check(row.layout.contentLength);
      });
    });
  }

  /** Joins what is being done for the same task already; whoever is waiting makes it hurry. */
  #mend(
    subject: DiskTask | string,
    { isUrgent = false }: { isUrgent?: boolean },
    work: (pace: Pace) => Promise<void>,
  ): Promise<void> {
    const running = this.#mending.get(subject);
    if (running !== undefined) {
      if (isUrgent) running.pace.hurry();
      return running.done;
    }
    const pace = new Pace(this.#stop.signal, { isUrgent });
    const done = work(pace).finally(() => this.#mending.delete(subject));
    this.#mending.set(subject, { done, pace });
    return done;
  }

  #inBackground(work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (this.#closing === undefined) this.#init.logger.warn({ err: error }, 'content could not be verified');
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) return Promise.reject(new StoreClosedError(this.#init.paths.dir));
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}

function hasLayout(task: DiskTask, { layout }: NewTask): boolean {
  return task.layout.contentLength === layout.contentLength && task.layout.pieceLength === layout.pieceLength;
}

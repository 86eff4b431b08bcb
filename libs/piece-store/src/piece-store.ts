import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { NewTask, StoredTask, TaskStore } from '@d7y/peer-engine';
import { NoSpaceError } from '@d7y/peer-engine';
import { PieceSet } from '@d7y/piece';
import type { Logger } from '@d7y/service-kit';
import type { EvictionPolicy } from '@d7y/storage-gc';
import { planEviction } from '@d7y/storage-gc';
import type { ChangeJournal } from './change-journal.ts';
import { translateDiskFull } from './disk-full.ts';
import type { DiskSpace, MeasureDisk, StoreUsage } from './disk-space.ts';
import { usageOf } from './disk-space.ts';
import { DiskTask } from './disk-task.ts';
import type { DiskTaskContext } from './disk-task.ts';
import { StoreClosedError } from './errors.ts';
import type { HandleCache } from './handle-cache.ts';
import type { LoadedTask, TaskMetadata } from './metadata.ts';
import type { StorePaths } from './store-paths.ts';
import { isTaskId, taskPath } from './store-paths.ts';
import { verifyTask } from './verification.ts';

/** Files synced at the same time when the store closes. */
const SYNC_CONCURRENCY = 8;
/** An unfinished task keeps its reservation this long without anybody retaining it: from its creation to its first use. */
const RESERVATION_GRACE_MS = 60_000;

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
 * Tasks on disk. Owner of which tasks exist and of who gets how much space; the content of a task is its DiskTask's.
 * Admission, eviction and removal go through one queue, so that two of them never spend the same bytes.
 */
export class PieceStore implements TaskStore, AsyncDisposable {
  readonly #init: PieceStoreInit;
  readonly #tasks = new Map<string, DiskTask>();
  readonly #context: DiskTaskContext;
  readonly #verifications = new Map<DiskTask, Promise<void>>();
  /** Verifications nobody waits for, one after the other. */
  #verifyingQuietly: Promise<void> = Promise.resolve();
  #queue: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(init: PieceStoreInit) {
    this.#init = init;
    this.#context = {
      handles: init.handles,
      journal: init.journal,
      metadata: init.metadata,
      clock: init.clock,
      isClosed: () => this.#closing !== undefined,
      onTrouble: (error, message) => init.logger.warn({ err: error }, message),
    };
  }

  /** Takes over a task found at opening. */
  adopt({ row, pieces }: LoadedTask, { isDamaged }: { isDamaged: boolean }): StoredTask {
    const task = new DiskTask(row, pieces, taskPath(this.#init.paths, row.taskId), this.#context);
    if (isDamaged) task.suspect();
    this.#tasks.set(row.taskId, task);
    return task;
  }

  /** A task that is being verified is not there yet; asking for it is what begins the verification. */
  get(taskId: string): StoredTask | undefined {
    const task = this.#tasks.get(taskId);
    if (task === undefined || !task.isSuspect) return task;
    this.#verifyQuietly(task);
    return undefined;
  }

  async create(newTask: NewTask): Promise<StoredTask> {
    if (!isTaskId(newTask.taskId)) throw new RangeError(`"${newTask.taskId}" is not a task id`);
    const known = this.#tasks.get(newTask.taskId);
    if (known?.isSuspect && hasLayout(known, newTask)) await this.#verify(known);
    return this.#inTurn(async () => {
      const existing = this.#tasks.get(newTask.taskId);
      if (existing !== undefined && hasLayout(existing, newTask)) return existing;
      if (existing !== undefined) await this.#remove(existing);
      await this.#makeRoom(newTask.layout.contentLength);
      return this.#add(newTask);
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

  async usage(): Promise<StoreUsage> {
    return this.#usageOn(await this.#measure());
  }

  /**
   * Evicts what is too old, and the least recently used above the watermark; call it from time to time.
   * @returns ids of the evicted tasks
   */
  collectGarbage(): Promise<string[]> {
    return this.#inTurn(async () => this.#evict(await this.#measure(), 0));
  }

  /** Ends cleanly: what was written is on the disk itself when the promise resolves, so the next opening trusts it. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { journal, logger, resources, metadata } = this.#init;
    await this.#queue.catch(() => undefined);
    await Promise.allSettled(this.#verifications.values());
    let isClean = false;
    try {
      journal.flush();
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

  async #add(newTask: NewTask): Promise<StoredTask> {
    const { paths, metadata, clock } = this.#init;
    const path = taskPath(paths, newTask.taskId);
    const { contentLength } = newTask.layout;
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const handle = await open(path, 'w', 0o600);
      try {
        await handle.truncate(contentLength);
      } finally {
        await handle.close();
      }
      const row = metadata.insert(newTask, clock());
      return this.adopt({ row, pieces: new PieceSet() }, { isDamaged: false });
    } catch (error) {
      throw translateDiskFull(error, path, contentLength);
    }
  }

  async #makeRoom(wantedBytes: number): Promise<void> {
    const disk = await this.#measure();
    const { freeBytes, reservedBytes } = this.#usageOn(disk);
    if (freeBytes >= wantedBytes) return;
    await this.#evict(disk, reservedBytes + wantedBytes);
    const after = this.#usageOn(await this.#measure());
    if (after.freeBytes < wantedBytes) throw new NoSpaceError(this.#init.paths.tasks, wantedBytes, after.freeBytes);
  }

  async #evict(disk: DiskSpace, wantedBytes: number): Promise<string[]> {
    const { policy, clock, onEvict, logger } = this.#init;
    const candidates = [...this.#tasks.values()].map((task) => ({
      taskId: task.taskId,
      bytes: task.finishedBytes,
      usedAtMs: task.usedAtMs,
      readers: task.isRetained ? 1 : 0,
      isComplete: task.isComplete,
    }));
    const evicted: string[] = [];
    for (const { taskId, bytes, reason } of planEviction(candidates, disk, policy, clock(), wantedBytes)) {
      const task = this.#tasks.get(taskId);
      // Somebody may have come for it while those before it were deleted.
      if (task === undefined || task.isRetained) continue;
      await this.#remove(task);
      logger.info({ taskId, bytes, reason }, 'evicted');
      evicted.push(taskId);
      onEvict(taskId);
    }
    return evicted;
  }

  #measure(): Promise<DiskSpace> {
    return this.#init.measureDisk(this.#init.paths.tasks);
  }

  #usageOn(disk: DiskSpace): StoreUsage {
    const { policy, clock } = this.#init;
    const idleSinceMs = clock() - RESERVATION_GRACE_MS;
    const isActive = (task: DiskTask) => task.isRetained || task.usedAtMs > idleSinceMs;
    return usageOf(this.#tasks.values(), policy.diskThresholdBytes, disk, isActive);
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

  #verifyQuietly(task: DiskTask): void {
    if (this.#verifications.has(task)) return;
    this.#verifyingQuietly = this.#verifyingQuietly
      .then(() => this.#verify(task))
      .catch((error: unknown) => this.#init.logger.warn({ err: error, taskId: task.taskId }, 'verification failed'));
  }

  #verify(task: DiskTask): Promise<void> {
    if (!task.isSuspect) return Promise.resolve();
    const running = this.#verifications.get(task);
    if (running !== undefined) return running;
    const verification = verifyTask(task)
      .then((wrong) => {
        if (wrong.length === 0) return;
        this.#init.logger.warn(
          { taskId: task.taskId, wrong: wrong.length, of: task.layout.pieceCount },
          'pieces did not survive the end of the machine',
        );
      })
      .finally(() => this.#verifications.delete(task));
    this.#verifications.set(task, verification);
    return verification;
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

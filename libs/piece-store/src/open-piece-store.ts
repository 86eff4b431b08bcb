import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Logger } from '@d7y/service-kit';
import type { EvictionPolicy } from '@d7y/storage-gc';
import { createEvictionPolicy } from '@d7y/storage-gc';
import { ChangeJournal } from './change-journal.ts';
import { lockDirectory } from './directory-lock.ts';
import { isDiskFull, translateDiskFull } from './disk-full.ts';
import type { MeasureDisk } from './disk-space.ts';
import { measureDisk } from './disk-space.ts';
import { StoreFormatError, StoreLockedError, StoreUnavailableError } from './errors.ts';
import { HandleCache } from './handle-cache.ts';
import { openMetadata } from './metadata-recovery.ts';
import { PieceStore } from './piece-store.ts';
import { steadyClock } from './steady-clock.ts';
import { emptyFolder, prepareDirectory, wipeDirectory } from './store-directory.ts';
import { storePaths } from './store-paths.ts';

/** More than these are not compared with their files in the time that an opening may take. */
const MANY_TASKS = 2000;

export interface PieceStoreOptions {
  /** The storage directory; made when it is missing. */
  readonly dir: string;
  /** Keep what an earlier run left; otherwise it is deleted first. */
  readonly keep: boolean;
  readonly logger: Logger;
  /** When tasks have to go, and how much of the disk they may take; what is not given is as in DEFAULT_EVICTION_POLICY. */
  readonly policy?: Partial<EvictionPolicy>;
  /** A task was evicted, so that others can be told that it is no longer here. */
  readonly onEvict?: (taskId: string) => void;
  /** Unix time in ms; must not jump while the store is open. */
  readonly clock?: () => number;
  /** Open content files, at most, as long as no more are in use at once. */
  readonly maxOpenFiles?: number;
  /** A clean end waits for the disk no longer than this. */
  readonly closeSyncMs?: number;
  /** Tells runs of the machine apart: after an end of the machine, not of the process alone, pieces are verified. */
  readonly bootId?: string | undefined;
  readonly measureDisk?: MeasureDisk;
  /** Content and records are compared before the store is open, as far as this time allows; the rest is done meanwhile. */
  readonly compareMs?: number;
}

/**
 * Opens the storage directory, alone, and brings content and metadata into agreement.
 * @throws {StoreUnavailableError} it cannot be made, read or written
 * @throws {StoreLockedError} another process uses it
 * @throws {StoreFormatError} a later release wrote it
 * @throws {NoSpaceError} its disk is full
 * @throws {InvalidEvictionPolicyError}
 */
export async function openPieceStore(options: PieceStoreOptions): Promise<PieceStore> {
  const { logger, clock = steadyClock, onEvict = () => undefined } = options;
  const policy = createEvictionPolicy(options.policy);
  const paths = storePaths(resolve(options.dir));
  await prepareDirectory(paths);
  await using resources = new AsyncDisposableStack();
  try {
    resources.use(lockDirectory(paths));
    if (!options.keep) await wipeDirectory(paths);
    await emptyFolder(paths.tmp);
    const { metadata, tasks } = openMetadata(
      {
        path: paths.database,
        dir: paths.dir,
        nowMs: clock(),
        bootId: 'bootId' in options ? options.bootId : readBootId(),
        onDamagedTask: (taskId, reason) =>
          logger.warn({ taskId, reason }, 'a task is forgotten: its records are damaged'),
        onDamagedPiece: (taskId, reason) => logger.warn({ taskId, reason }, 'the record of a piece is damaged'),
      },
      logger,
    );
    // Until the store owns it; closing twice is refused by SQLite, so the store's own closing comes instead of this one.
    using unowned = new DisposableStack();
    unowned.defer(() => metadata.close({ isClean: false }));
    const store = new PieceStore(
      {
        paths,
        metadata,
        journal: new ChangeJournal({ metadata, logger }),
        handles: new HandleCache(options.maxOpenFiles ?? 512),
        resources: resources.move(),
        policy,
        measureDisk: options.measureDisk ?? measureDisk,
        onEvict,
        clock,
        logger,
        closeSyncMs: options.closeSyncMs ?? 5000,
      },
      tasks,
    );
    unowned.move();
    await store.sweep({
      isRecovering: metadata.isNew,
      waitMs: options.compareMs ?? (tasks.length > MANY_TASKS ? 0 : 200),
    });
    logger.info({ dir: paths.dir, tasks: tasks.length, previousEnd: metadata.previousEnd }, 'storage is open');
    return store;
  } catch (error) {
    if (error instanceof StoreLockedError || error instanceof StoreFormatError) throw error;
    if (isDiskFull(error)) throw translateDiskFull(error, paths.dir, 0);
    throw new StoreUnavailableError(paths.dir, { cause: error });
  }
}

/** Linux names each run of the machine; elsewhere every unclean end is taken for one of the machine. */
function readBootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
}

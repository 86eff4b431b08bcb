import { NoSpaceError } from '@d7y/peer-engine';
import type { Logger } from '@d7y/service-kit';
import type { DiskUsage, EvictableTask, EvictionPolicy, Victim } from '@d7y/storage-gc';
import { planEviction, planRelief, watermarks } from '@d7y/storage-gc';
import type { MeasureDisk, StoreUsage } from './disk-space.ts';
import type { DiskTask } from './disk-task.ts';
import { StoreClosedError } from './errors.ts';
import type { SpaceLedger } from './space-ledger.ts';

/** Removed in one go, while nobody can make a task. */
const VICTIMS_AT_ONCE = 32;
/** After so many new bytes, or a hundredth of what tasks may take, the watermarks are looked at. */
const MAX_CHECK_BYTES = 64 * 2 ** 20;

export interface StoreSpaceInit {
  /** On the file system that is measured. */
  readonly path: string;
  readonly policy: EvictionPolicy;
  readonly measureDisk: MeasureDisk;
  readonly ledger: SpaceLedger;
  readonly onEvict: (taskId: string) => void;
  /** Unix time in ms. */
  readonly clock: () => number;
  readonly logger: Logger;
  readonly tasks: () => Iterable<DiskTask>;
  readonly find: (taskId: string) => DiskTask | undefined;
  readonly remove: (task: DiskTask) => Promise<void>;
  /** No task is made or removed by others while the work lasts. */
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Who gets how much space: admission, and eviction for whatever reason. What to evict is decided by the planner. */
export class StoreSpace {
  readonly #init: StoreSpaceInit;
  #checkBytes: number;
  #grownBytes = 0;
  #checking: Promise<void> | undefined;
  #relieving: Promise<boolean> | undefined;

  constructor(init: StoreSpaceInit) {
    this.#init = init;
    const { capacityBytes = Infinity, thresholdBytes = Infinity } = init.policy;
    this.#checkBytes = Math.min(MAX_CHECK_BYTES, capacityBytes / 100, thresholdBytes / 100);
  }

  async usage(taskCount: number): Promise<StoreUsage> {
    return { taskCount, ...this.#usageOn(await this.#measure(), this.#init.ledger.reservedBytes()) };
  }

  /** Evicts what is too old, or too much, little by little: others get their turn between. @returns ids of the evicted tasks */
  async collect(): Promise<string[]> {
    const { policy, clock, exclusively, find } = this.#init;
    const plan = planEviction(this.#evictable(), await this.#measure(), policy, clock());
    const plannedAtMs = clock();
    const evicted: string[] = [];
    for (let next = 0; next < plan.length; next += VICTIMS_AT_ONCE) {
      const some = plan.slice(next, next + VICTIMS_AT_ONCE);
      // Who has been used since is not the least recently used any more.
      const isIdle = ({ taskId }: Victim) => (find(taskId)?.usedAtMs ?? Infinity) <= plannedAtMs;
      evicted.push(...(await exclusively(() => this.#carryOut(some.filter(isIdle)))));
    }
    return evicted;
  }

  /**
   * Inside `exclusively`: sees to it that a task fits.
   * @param task that the room is for; its own reservation does not stand in its way
   * @throws {NoSpaceError} it does not fit; then nothing was evicted for it
   */
  async makeRoom(wantedBytes: number, task?: DiskTask): Promise<void> {
    const { ledger, path } = this.#init;
    for (;;) {
      const disk = await this.#measure();
      const reservedBytes = ledger.reservedBytes(task);
      const { freeBytes } = this.#usageOn(disk, reservedBytes);
      if (freeBytes >= wantedBytes) return;
      // Downloads go on meanwhile, so what was enough may turn out not to be.
      const evicted = await this.#evict(disk, reservedBytes + wantedBytes);
      if (evicted.length === 0) throw new NoSpaceError(path, wantedBytes, freeBytes);
    }
  }

  /** Pieces were recorded: looks at the watermarks when enough have come since the last time. Sums in memory, and one call for the disk's. */
  grown(bytes: number): void {
    this.#grownBytes += bytes;
    if (this.#grownBytes < this.#checkBytes || this.#checking !== undefined) return;
    this.#grownBytes = 0;
    const { logger } = this.#init;
    this.#checking = this.#check()
      .catch((error: unknown) => {
        if (!(error instanceof StoreClosedError)) logger.warn({ err: error }, 'eviction failed');
      })
      .finally(() => (this.#checking = undefined));
  }

  /**
   * A write has found the disk full: evicts what is needed, where that helps. Those who meet a full disk at the same time wait for the
   * same eviction.
   * @returns whether anything went
   */
  relieve(neededBytes: number): Promise<boolean> {
    const { exclusively } = this.#init;
    this.#relieving ??= exclusively(() => this.evictFor(neededBytes)).finally(() => (this.#relieving = undefined));
    return this.#relieving;
  }

  /** As `relieve`, inside `exclusively`. */
  async evictFor(neededBytes: number): Promise<boolean> {
    const { policy, clock, ledger } = this.#init;
    const needed = Math.max(1, neededBytes);
    const wanted = Math.max(needed, ledger.reservedBytes());
    const evicted = await this.#carryOut(planRelief(this.#evictable(), policy, clock(), needed, wanted));
    return evicted.length > 0;
  }

  async #check(): Promise<void> {
    const { policy, ledger } = this.#init;
    const disk = await this.#measure();
    const { marks } = watermarks(policy, disk, ledger.usedBytes);
    if (marks.some(({ highBytes }) => ledger.usedBytes >= highBytes)) await this.collect();
  }

  #evict(disk: DiskUsage, wantedBytes: number): Promise<string[]> {
    const { policy, clock } = this.#init;
    return this.#carryOut(planEviction(this.#evictable(), disk, policy, clock(), wantedBytes));
  }

  *#evictable(): Iterable<EvictableTask> {
    for (const task of this.#init.tasks()) {
      const { taskId, finishedBytes: bytes, usedAtMs, isComplete, isPinned, isRetained } = task;
      yield { taskId, bytes, usedAtMs, isComplete, isPinned, readers: isRetained ? 1 : 0 };
    }
  }

  async #carryOut(plan: readonly Victim[]): Promise<string[]> {
    const { find, remove, onEvict, logger } = this.#init;
    const evicted: string[] = [];
    for (const { taskId, bytes, reason } of plan) {
      const task = find(taskId);
      // Somebody may have come for it while those before it were deleted.
      if (task === undefined || task.isRetained || task.isPinned) continue;
      await remove(task);
      logger.info({ taskId, bytes, reason }, 'evicted');
      evicted.push(taskId);
      onEvict(taskId);
    }
    return evicted;
  }

  async #measure(): Promise<DiskUsage> {
    const disk = await this.#init.measureDisk(this.#init.path);
    this.#checkBytes = Math.min(this.#checkBytes, disk.totalBytes / 100);
    return disk;
  }

  #usageOn({ availableBytes }: DiskUsage, reservedBytes: number): Omit<StoreUsage, 'taskCount'> {
    const { ledger, policy } = this.#init;
    const { usedBytes } = ledger;
    const capacityBytes = Math.min(policy.capacityBytes ?? Infinity, availableBytes + usedBytes);
    // What is written of unfinished pieces counts twice: at most a few pieces, and on the safe side.
    const freeBytes = Math.max(0, capacityBytes - usedBytes - reservedBytes);
    return { usedBytes, reservedBytes, capacityBytes, freeBytes };
  }
}

import type { DiskTask } from './disk-task.ts';

/** A new task keeps its reservation this long without anybody retaining it: from its creation to its first use. */
const GRACE_MS = 60_000;

/**
 * Bytes of all tasks, kept up as they come and go: nothing walks a tree or a table to know them. Owner of the sum and of the list
 * of tasks that still grow.
 */
export class SpaceLedger {
  readonly #clock: () => number;
  /** With the time until which a task counts although nobody retains it. */
  readonly #growing = new Map<DiskTask, number>();
  #usedBytes = 0;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Finished pieces of all tasks. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Pieces were recorded, or went. */
  count(bytes: number): void {
    this.#usedBytes += bytes;
  }

  /** A task was made for somebody who is about to retain it. */
  expect(task: DiskTask): void {
    this.#growing.set(task, this.#clock() + GRACE_MS);
  }

  /** A task has its first reader, who may be the one that fills it. */
  retained(task: DiskTask): void {
    this.#growing.set(task, 0);
  }

  /** The last one has left, or the task is gone. */
  released(task: DiskTask): void {
    this.#growing.delete(task);
  }

  /** What tasks under way are still going to write. @param but counts nothing */
  reservedBytes(but?: DiskTask): number {
    const now = this.#clock();
    let sum = 0;
    for (const [task, untilMs] of this.#growing) {
      if (task.isComplete || (!task.isRetained && untilMs < now)) this.#growing.delete(task);
      else if (task !== but) sum += task.missingBytes;
    }
    return sum;
  }
}

import type { PieceRecord, ReadonlyPieceSet, TaskLayout } from '@d7y/piece';
import { pieceRange, PieceSet } from '@d7y/piece';
import type { NewTask, StoredTask, TaskStore } from '../ports/task-store.ts';
import { NoSpaceError } from '../ports/task-store.ts';

export interface MemoryTaskStoreOptions {
  /** Bytes of all tasks together; each counts with its whole length from the start. Unbounded by default. */
  readonly capacityBytes?: number;
  /** Unix time in ms. */
  readonly clock?: () => number;
}

/** A TaskStore that forgets everything with the process. It may stand in for the real one wherever the disk is not the subject. */
export class MemoryTaskStore implements TaskStore {
  readonly #tasks = new Map<string, MemoryTask>();
  readonly #capacityBytes: number;
  readonly #clock: () => number;
  /** While set, every write fails with it: a full or broken disk. */
  writeFailure: Error | undefined;

  constructor({ capacityBytes = Infinity, clock = Date.now }: MemoryTaskStoreOptions = {}) {
    this.#capacityBytes = capacityBytes;
    this.#clock = clock;
  }

  get(taskId: string): StoredTask | undefined {
    return this.#tasks.get(taskId);
  }

  create(task: NewTask): Promise<StoredTask> {
    const existing = this.#tasks.get(task.taskId);
    if (existing !== undefined) {
      if (sameLayout(existing.layout, task.layout)) return Promise.resolve(existing);
      this.#remove(existing);
    }
    try {
      this.#makeRoom(task.layout.contentLength);
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
    const created = new MemoryTask(task, this.#clock, () => this.writeFailure);
    this.#tasks.set(task.taskId, created);
    return Promise.resolve(created);
  }

  delete(taskId: string): Promise<void> {
    const task = this.#tasks.get(taskId);
    if (task !== undefined) this.#remove(task);
    return Promise.resolve();
  }

  *list(): Iterable<StoredTask> {
    yield* [...this.#tasks.values()];
  }

  #remove(task: MemoryTask): void {
    this.#tasks.delete(task.taskId);
    task.remove();
  }

  #makeRoom(wantedBytes: number): void {
    let used = 0;
    for (const task of this.#tasks.values()) used += task.layout.contentLength;
    const idle = [...this.#tasks.values()]
      .filter((task) => task.isComplete && !task.isRetained && !task.isPinned)
      .sort((a, b) => a.usedAtMs - b.usedAtMs);
    const evictable = idle.reduce((sum, task) => sum + task.layout.contentLength, 0);
    if (used - evictable + wantedBytes > this.#capacityBytes) {
      throw new NoSpaceError('memory', wantedBytes, Math.max(0, this.#capacityBytes - used));
    }
    for (const task of idle) {
      if (used + wantedBytes <= this.#capacityBytes) return;
      used -= task.layout.contentLength;
      this.#remove(task);
    }
  }
}

class MemoryTask implements StoredTask {
  readonly taskId: string;
  readonly url: string;
  readonly layout: TaskLayout;
  readonly digest: string | undefined;
  readonly responseHeaders: Readonly<Record<string, string>>;
  readonly isPrivate: boolean;
  readonly createdAtMs: number;
  readonly #clock: () => number;
  readonly #failure: () => Error | undefined;
  readonly #finished = new PieceSet();
  readonly #records = new Map<number, PieceRecord>();
  #content: Uint8Array | undefined;
  #usedAtMs: number;
  #isComplete = false;
  #isPinned = false;
  #retainers = 0;
  #isRemoved = false;

  constructor(task: NewTask, clock: () => number, failure: () => Error | undefined) {
    this.taskId = task.taskId;
    this.url = task.url;
    this.layout = task.layout;
    this.digest = task.digest;
    this.responseHeaders = task.responseHeaders;
    this.isPrivate = task.isPrivate;
    this.#clock = clock;
    this.#failure = failure;
    this.createdAtMs = this.#usedAtMs = clock();
    this.#content = new Uint8Array(task.layout.contentLength);
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  get usedAtMs(): number {
    return this.#usedAtMs;
  }

  get finishedPieces(): ReadonlyPieceSet {
    return this.#finished;
  }

  get isPinned(): boolean {
    return this.#isPinned;
  }

  get isRetained(): boolean {
    return this.#retainers > 0;
  }

  piece(pieceNumber: number): PieceRecord | undefined {
    return this.#records.get(pieceNumber);
  }

  async write(position: number, bytes: readonly Uint8Array[]): Promise<void> {
    // As on a disk, nothing has happened yet when the call returns.
    await Promise.resolve();
    const failure = this.#failure();
    if (failure !== undefined) throw failure;
    const content = this.#bytes();
    const length = bytes.reduce((sum, part) => sum + part.length, 0);
    if (position < 0 || position + length > content.length) {
      throw new RangeError(`bytes ${position} to ${position + length} are not within task ${this.taskId}`);
    }
    for (const part of bytes) {
      content.set(part, position);
      position += part.length;
    }
  }

  async read(position: number, target: Uint8Array): Promise<number> {
    await Promise.resolve();
    const part = this.#bytes().subarray(position, position + target.length);
    target.set(part);
    return part.length;
  }

  recordPiece(piece: PieceRecord): void {
    const { start, length } = pieceRange(this.layout, piece.number);
    if (piece.offset !== start || piece.length !== length) {
      throw new RangeError(`piece ${piece.number} of task ${this.taskId} has ${length} bytes from ${start}`);
    }
    this.#records.set(piece.number, piece);
    this.#finished.add(piece.number);
  }

  discardPieces(pieceNumbers: Iterable<number>): void {
    for (const number of [...pieceNumbers]) {
      if (this.#finished.delete(number)) this.#isComplete = false;
      this.#records.delete(number);
    }
  }

  markComplete(): Promise<void> {
    if (this.#finished.size < this.layout.pieceCount) {
      return Promise.reject(new Error(`task ${this.taskId} is not complete: pieces are missing`));
    }
    this.#isComplete = true;
    return Promise.resolve();
  }

  setPinned(isPinned: boolean): Promise<void> {
    this.#isPinned = isPinned;
    return Promise.resolve();
  }

  retain(): Disposable {
    this.#bytes();
    this.#retainers++;
    this.#usedAtMs = this.#clock();
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#retainers--;
        this.#usedAtMs = this.#clock();
        if (this.#isRemoved && !this.isRetained) this.#content = undefined;
      },
    };
  }

  remove(): void {
    this.#isRemoved = true;
    if (!this.isRetained) this.#content = undefined;
  }

  #bytes(): Uint8Array {
    if (this.#content === undefined) throw new Error(`task ${this.taskId} has been removed`);
    return this.#content;
  }
}

function sameLayout(a: TaskLayout, b: TaskLayout): boolean {
  return a.contentLength === b.contentLength && a.pieceLength === b.pieceLength;
}

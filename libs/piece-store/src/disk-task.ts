import type { FileHandle } from 'node:fs/promises';
import { rename, unlink } from 'node:fs/promises';
import type { StoredTask } from '@d7y/peer-engine';
import type { PieceRecord, PieceSet, ReadonlyPieceSet, TaskLayout } from '@d7y/piece';
import { pieceRange } from '@d7y/piece';
import type { ChangeJournal } from './change-journal.ts';
import { translateDiskFull } from './disk-full.ts';
import { ContentLostError, TaskRemovedError } from './errors.ts';
import type { CachedFile, HandleCache } from './handle-cache.ts';
import type { TaskMetadata, TaskRow } from './metadata.ts';

/** What all tasks of a store share. */
export interface DiskTaskContext {
  readonly handles: HandleCache;
  readonly journal: ChangeJournal;
  readonly metadata: Pick<TaskMetadata, 'pieces'>;
  /** Unix time in ms. */
  readonly clock: () => number;
  readonly isClosed: () => boolean;
  /** Something failed that no caller waits for. */
  readonly onTrouble: (error: unknown, message: string) => void;
}

/**
 * One content file with its records. Owner of which pieces are there; piece records themselves are kept in memory only while
 * somebody retains the task, the set of their numbers always.
 */
export class DiskTask implements StoredTask {
  readonly key: number;
  readonly taskId: string;
  readonly url: string;
  readonly layout: TaskLayout;
  readonly digest: string | undefined;
  readonly responseHeaders: Readonly<Record<string, string>>;
  readonly isPrivate: boolean;
  readonly createdAtMs: number;
  readonly #context: DiskTaskContext;
  readonly #file: CachedFile;
  readonly #finished: PieceSet;
  #records: Map<number, PieceRecord> | undefined;
  #usedAtMs: number;
  #isComplete: boolean;
  #isSuspect: boolean;
  #isDirty = false;
  #isRemoved = false;
  #retainers = 0;
  /** The move of a removed task that is still read; nothing opens the file meanwhile. */
  #moving: Promise<void> = Promise.resolve();

  constructor(row: TaskRow, pieces: PieceSet, path: string, context: DiskTaskContext) {
    this.key = row.key;
    this.taskId = row.taskId;
    this.url = row.url;
    this.layout = row.layout;
    this.digest = row.digest;
    this.responseHeaders = row.responseHeaders;
    this.isPrivate = row.isPrivate;
    this.createdAtMs = row.createdAtMs;
    this.#usedAtMs = row.usedAtMs;
    this.#isComplete = row.isComplete && pieces.size === row.layout.pieceCount;
    this.#isSuspect = row.isSuspect;
    this.#finished = pieces;
    this.#file = { path };
    this.#context = context;
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

  get isRetained(): boolean {
    return this.#retainers > 0;
  }

  /** Its pieces may not be on disk as recorded: the machine went down under it. */
  get isSuspect(): boolean {
    return this.#isSuspect;
  }

  /** Written since the last sync. */
  get isDirty(): boolean {
    return this.#isDirty;
  }

  /** Bytes of all finished pieces. */
  get finishedBytes(): number {
    const { contentLength, pieceLength, pieceCount } = this.layout;
    const missingOfLast = this.#finished.has(pieceCount - 1) ? pieceCount * pieceLength - contentLength : 0;
    return this.#finished.size * pieceLength - missingOfLast;
  }

  piece(pieceNumber: number): PieceRecord | undefined {
    if (!this.#finished.has(pieceNumber)) return undefined;
    return this.#allRecords().get(pieceNumber);
  }

  async write(position: number, bytes: readonly Uint8Array[]): Promise<void> {
    const length = bytes.reduce((sum, part) => sum + part.length, 0);
    if (position < 0 || position + length > this.layout.contentLength) {
      throw new RangeError(`bytes ${position} to ${position + length} are not within task ${this.taskId}`);
    }
    this.#isDirty = true;
    try {
      await this.#use((handle) => writeAll(handle, bytes, position, length));
    } catch (error) {
      throw translateDiskFull(error, this.#file.path, length);
    }
  }

  async read(position: number, target: Uint8Array): Promise<number> {
    const wanted = Math.min(target.length, Math.max(0, this.layout.contentLength - position));
    return this.#use(async (handle) => {
      if (wanted === 0) return 0;
      const { bytesRead } = await handle.read(target, 0, wanted, position);
      if (bytesRead === 0) throw new ContentLostError(this.#file.path, position);
      return bytesRead;
    });
  }

  recordPiece(piece: PieceRecord): void {
    const { start, length } = pieceRange(this.layout, piece.number);
    if (piece.offset !== start || piece.length !== length) {
      throw new RangeError(`piece ${piece.number} of task ${this.taskId} has ${length} bytes from ${start}`);
    }
    this.#allRecords().set(piece.number, piece);
    this.#finished.add(piece.number);
    if (!this.#isRemoved) this.#context.journal.add({ kind: 'piece', key: this.key, piece });
  }

  discardPieces(pieceNumbers: Iterable<number>): void {
    const discarded = [...pieceNumbers].filter((number) => this.#finished.delete(number));
    if (discarded.length === 0) return;
    for (const number of discarded) this.#records?.delete(number);
    this.#isComplete = false;
    if (this.#isRemoved) return;
    const { journal, onTrouble } = this.#context;
    journal.add({ kind: 'discard', key: this.key, pieceNumbers: discarded });
    try {
      // At once: these pieces will be written over, and no record may claim them meanwhile.
      journal.flush();
    } catch (error) {
      onTrouble(error, 'wrong pieces are still recorded on disk; trying again');
    }
  }

  markComplete(): Promise<void> {
    if (this.#finished.size < this.layout.pieceCount) {
      return Promise.reject(new Error(`task ${this.taskId} is not complete: pieces are missing`));
    }
    if (!this.#isRemoved) {
      const { journal } = this.#context;
      journal.add({ kind: 'complete', key: this.key });
      try {
        journal.flush();
      } catch (error) {
        return Promise.reject(translateDiskFull(error, this.#file.path, 0));
      }
    }
    this.#isComplete = true;
    return Promise.resolve();
  }

  retain(): Disposable {
    this.#assertPresent();
    this.#retainers++;
    this.#touch();
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#retainers--;
        if (!this.isRetained) this.#lastReaderLeft();
      },
    };
  }

  /** The bytes have proved to be what the records say. */
  trust(): void {
    this.#isSuspect = false;
    if (!this.#isRemoved) this.#context.journal.add({ kind: 'trusted', key: this.key });
  }

  /** Its bytes may not be what the records say. */
  suspect(): void {
    this.#isSuspect = true;
  }

  /** Puts everything written on the disk itself. */
  async sync(): Promise<void> {
    await this.#context.handles.use(this.#file, (handle) => handle.datasync());
    this.#isDirty = false;
  }

  /**
   * Takes the task out of its place, so that another may be created under its id at once. Readers go on; the bytes go with
   * the last of them. Its records are the store's to remove, before.
   * @param asidePath where the file stays meanwhile
   */
  async remove(asidePath: string): Promise<void> {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    if (!this.isRetained) {
      await this.#unlink();
      return;
    }
    this.#moving = rename(this.#file.path, asidePath).then(() => {
      this.#file.path = asidePath;
    });
    await this.#moving;
  }

  #lastReaderLeft(): void {
    if (this.#isRemoved) {
      this.#moving
        .then(() => this.#unlink())
        .catch((error: unknown) => this.#context.onTrouble(error, 'removed content cannot be deleted'));
      return;
    }
    this.#touch();
    this.#context.journal.afterFlush(this.#forgetRecords);
  }

  /** Only once all of them are on disk: they are read back when needed again. */
  readonly #forgetRecords = (): void => {
    if (!this.isRetained && !this.#isRemoved) this.#records = undefined;
  };

  async #unlink(): Promise<void> {
    await this.#context.handles.close(this.#file);
    await unlink(this.#file.path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    });
  }

  #touch(): void {
    this.#usedAtMs = this.#context.clock();
    if (this.#isRemoved || this.#context.isClosed()) return;
    this.#context.journal.add({ kind: 'used', key: this.key, usedAtMs: this.#usedAtMs });
  }

  #allRecords(): Map<number, PieceRecord> {
    if (this.#records !== undefined) return this.#records;
    this.#records = this.#isRemoved ? new Map() : this.#context.metadata.pieces(this.key);
    if (!this.isRetained) this.#context.journal.afterFlush(this.#forgetRecords);
    return this.#records;
  }

  async #use<T>(work: (handle: FileHandle) => Promise<T>): Promise<T> {
    this.#assertPresent();
    await this.#moving;
    return this.#context.handles.use(this.#file, work);
  }

  #assertPresent(): void {
    if (this.#context.isClosed() || (this.#isRemoved && !this.isRetained)) throw new TaskRemovedError(this.taskId);
  }
}

async function writeAll(
  handle: FileHandle,
  bytes: readonly Uint8Array[],
  position: number,
  length: number,
): Promise<void> {
  if (length === 0) return;
  let rest = bytes;
  for (let done = 0; ;) {
    const { bytesWritten } = await handle.writev(rest, position + done);
    done += bytesWritten;
    if (done >= length) return;
    rest = afterFirst(rest, bytesWritten);
  }
}

/** What remains of the buffers when their first `count` bytes are taken off. */
function afterFirst(bytes: readonly Uint8Array[], count: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = count;
  for (const part of bytes) {
    if (skip < part.length) rest.push(part.subarray(skip));
    skip = Math.max(0, skip - part.length);
  }
  return rest;
}

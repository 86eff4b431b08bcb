import type { FileHandle } from 'node:fs/promises';
import { rename, unlink } from 'node:fs/promises';
import type { StoredTask, TaskFile } from '@d7y/peer-engine';
import type { PieceRecord, ReadonlyPieceSet, TaskLayout } from '@d7y/piece';
import { pieceRange, PieceSet } from '@d7y/piece';
import type { ChangeJournal } from './change-journal.ts';
import { isDiskFull, translateDiskFull } from './disk-full.ts';
import { ContentLostError, TaskRemovedError } from './errors.ts';
import type { CachedFile, HandleCache } from './handle-cache.ts';
import type { TaskChange, TaskDescription, TaskMetadata, TaskRow } from './metadata.ts';
import type { SpaceLedger } from './space-ledger.ts';
import { type StorePaths, taskPath } from './store-paths.ts';

/** Of a task that went while nobody used it. */
const NO_DESCRIPTION: TaskDescription = { url: '', responseHeaders: {} };
/** Uses closer together than this are one use on disk: after a crash the order of eviction is right to this much. */
const USE_NOTE_MS = 10_000;

/** What all tasks of a store share. */
export interface DiskTaskContext {
  readonly handles: HandleCache;
  readonly journal: ChangeJournal;
  readonly metadata: Pick<TaskMetadata, 'pieces' | 'describe'>;
  readonly paths: StorePaths;
  readonly ledger: SpaceLedger;
  /** Unix time in ms. */
  readonly clock: () => number;
  readonly isClosed: () => boolean;
  /** Pieces of so many bytes were recorded. */
  readonly onGrown: (bytes: number) => void;
  /** The disk has refused a write: evicts others. @returns whether anything went */
  readonly relieve: (neededBytes: number) => Promise<boolean>;
  /** Something failed that no caller waits for. */
  readonly onTrouble: (error: unknown, message: string) => void;
}

/**
 * One content file with its records. Owner of which pieces are there; piece records themselves, and what is long, are kept in memory only
 * while somebody retains the task, the set of their numbers always.
 */
export class DiskTask implements StoredTask, CachedFile {
  readonly key: number;
  readonly taskId: string;
  readonly layout: TaskLayout;
  readonly digest: string | undefined;
  readonly isPrivate: boolean;
  readonly createdAtMs: number;
  readonly #context: DiskTaskContext;
  /** Where the file of a removed task is. */
  #asidePath: string | undefined;
  #description: TaskDescription | undefined;
  /** Undefined while it is all of them. */
  #pieces: PieceSet | undefined;
  #records: Map<number, PieceRecord> | undefined;
  #usedAtMs: number;
  #notedUseMs: number;
  #isPinned: boolean;
  #isComplete: boolean;
  #isSuspect: boolean;
  #isChecked = false;
  #isDirty = false;
  #isRemoved = false;
  #retainers = 0;
  /** The move of a removed task that is still read; nothing opens the file meanwhile. */
  #moving: Promise<void> = Promise.resolve();

  constructor(row: TaskRow, pieces: PieceSet | undefined, context: DiskTaskContext) {
    this.key = row.key;
    this.taskId = row.taskId;
    this.layout = row.layout;
    this.digest = row.digest;
    this.isPrivate = row.isPrivate;
    this.createdAtMs = row.createdAtMs;
    this.#usedAtMs = this.#notedUseMs = row.usedAtMs;
    this.#isPinned = row.isPinned;
    this.#isComplete = row.isComplete;
    this.#isSuspect = row.isSuspect;
    this.#pieces = pieces;
    this.#context = context;
    context.ledger.count(this.finishedBytes);
  }

  get url(): string {
    return this.#described.url;
  }

  get responseHeaders(): Readonly<Record<string, string>> {
    return this.#described.responseHeaders;
  }

  /** Of its file. */
  get path(): string {
    return this.#asidePath ?? taskPath(this.#context.paths, this.taskId);
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
    if (this.#pieces === undefined) return contentLength;
    const missingOfLast = this.#finished.has(pieceCount - 1) ? pieceCount * pieceLength - contentLength : 0;
    return this.#finished.size * pieceLength - missingOfLast;
  }

  /** Bytes of all pieces that are not there. */
  get missingBytes(): number {
    return this.layout.contentLength - this.finishedBytes;
  }

  get #finished(): PieceSet {
    return (this.#pieces ??= PieceSet.upTo(this.layout.pieceCount));
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
    const write = () => this.#use((handle) => writeAll(handle, bytes, position, length));
    try {
      await this.#orRelieved(write);
    } catch (error) {
      throw translateDiskFull(error, this.path, length);
    }
  }

  async openFile(): Promise<TaskFile> {
    const done = Promise.withResolvers<void>();
    const opened = Promise.withResolvers<number>();
    let hasRecovered = false;
    this.#isDirty = true;
    const using = this.#use((handle) => {
      opened.resolve(handle.fd);
      return done.promise;
    });
    using.catch(opened.reject);
    return {
      fd: await opened.promise,
      recover: async (error) => {
        const mayTry = !hasRecovered && (await this.#isRelieved(error));
        hasRecovered = true;
        if (!mayTry) throw translateDiskFull(error, this.path, 0);
      },
      [Symbol.dispose]: () => {
        this.#isDirty = true; // also where a sync came between
        done.resolve();
      },
    };
  }

  async read(position: number, target: Uint8Array): Promise<number> {
    const wanted = Math.min(target.length, Math.max(0, this.layout.contentLength - position));
    return this.#use(async (handle) => {
      if (wanted === 0) return 0;
      const { bytesRead } = await handle.read(target, 0, wanted, position);
      if (bytesRead === 0) throw new ContentLostError(this.path, position);
      return bytesRead;
    });
  }

  recordPiece(piece: PieceRecord): void {
    const { start, length } = pieceRange(this.layout, piece.number);
    if (piece.offset !== start || piece.length !== length) {
      throw new RangeError(`piece ${piece.number} of task ${this.taskId} has ${length} bytes from ${start}`);
    }
    this.#allRecords().set(piece.number, piece);
    const isNew = this.#finished.add(piece.number);
    if (this.#isRemoved) return;
    this.#context.journal.add({ kind: 'piece', key: this.key, piece });
    if (!isNew) return;
    this.#context.ledger.count(length);
    this.#context.onGrown(length);
  }

  discardPieces(pieceNumbers: Iterable<number>): void {
    const before = this.finishedBytes;
    const discarded = [...pieceNumbers].filter((number) => this.#finished.delete(number));
    if (discarded.length === 0) return;
    if (!this.#isRemoved) this.#context.ledger.count(this.finishedBytes - before);
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

  async markComplete(): Promise<void> {
    if (this.#finished.size < this.layout.pieceCount) {
      throw new Error(`task ${this.taskId} is not complete: pieces are missing`);
    }
    await this.#commit({ kind: 'complete', key: this.key });
    // Pieces may have been discarded while the disk was full.
    if (this.#finished.size === this.layout.pieceCount) this.#isComplete = true;
  }

  async setPinned(isPinned: boolean): Promise<void> {
    this.#assertPresent();
    this.#isPinned = isPinned;
    await this.#commit({ kind: 'pinned', key: this.key, isPinned });
  }

  retain(): Disposable {
    this.touch();
    const hold = this.hold();
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (isHeld) this.touch();
        isHeld = false;
        hold[Symbol.dispose]();
      },
    };
  }

  /** Keeps the task from eviction like `retain`, but is no use of it. */
  hold(): Disposable {
    this.#assertPresent();
    this.#retainers++;
    this.#description ??= this.#described; // it is to outlive the record
    if (this.#retainers === 1 && !this.#isComplete && !this.#isRemoved) this.#context.ledger.retained(this);
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

  /** Somebody uses it. */
  touch(): void {
    this.#usedAtMs = this.#context.clock();
    if (this.#isRemoved || this.#context.isClosed()) return;
    if (Math.abs(this.#usedAtMs - this.#notedUseMs) >= USE_NOTE_MS) this.noteUse();
  }

  /** Has the time of the last use written down, where it is not. */
  noteUse(): void {
    if (this.#isRemoved || this.#usedAtMs === this.#notedUseMs) return;
    this.#notedUseMs = this.#usedAtMs;
    this.#context.journal.add({ kind: 'used', key: this.key, usedAtMs: this.#usedAtMs });
  }

  /** The bytes have proved to be what the records say. */
  trust(): void {
    this.#isSuspect = false;
    if (!this.#isRemoved) this.#context.journal.add({ kind: 'trusted', key: this.key });
  }

  /** Whether its file was looked for: until then it may have been lost, or cut. */
  get isChecked(): boolean {
    return this.#isChecked;
  }

  /** @param sizeBytes of its file. */
  check(sizeBytes: number): void {
    this.#isChecked = true;
    if (sizeBytes !== this.layout.contentLength) this.#isSuspect = true;
  }

  /** Puts everything written on the disk itself. */
  async sync(): Promise<void> {
    await this.#context.handles.use(this, (handle) => handle.datasync());
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
    this.#context.ledger.count(-this.finishedBytes);
    this.#context.ledger.released(this);
    if (!this.isRetained) {
      await this.#unlink();
      return;
    }
    this.#moving = rename(this.path, asidePath).then(() => {
      this.#asidePath = asidePath;
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
    this.#context.ledger.released(this);
    this.#context.journal.afterFlush(this.#forgetRecords);
  }

  /** Only once all of them are on disk: they are read back when needed again. */
  readonly #forgetRecords = (): void => {
    if (!this.isRetained && !this.#isRemoved) this.#records = this.#description = undefined;
  };

  async #unlink(): Promise<void> {
    await this.#context.handles.close(this);
    await unlink(this.path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    });
  }

  get #described(): TaskDescription {
    return this.#description ?? this.#context.metadata.describe(this.key) ?? NO_DESCRIPTION;
  }

  #allRecords(): Map<number, PieceRecord> {
    if (this.#records !== undefined) return this.#records;
    const records = this.#isRemoved ? new Map<number, PieceRecord>() : this.#context.metadata.pieces(this.key);
    this.#records = records;
    if (!this.isRetained) this.#context.journal.afterFlush(this.#forgetRecords);
    // A damaged record costs its piece, and no more.
    if (!this.#isRemoved && records.size < this.#finished.size)
      this.discardPieces([...this.#finished].filter((n) => !records.has(n)));
    return records;
  }

  /** Puts a change on disk. @throws {NoSpaceError} */
  async #commit(change: TaskChange): Promise<void> {
    if (this.#isRemoved) return;
    const { journal } = this.#context;
    journal.add(change);
    try {
      await this.#orRelieved(() => Promise.resolve(journal.flush()));
    } catch (error) {
      throw translateDiskFull(error, this.path, 0);
    }
  }

  /** Tries again, once, when the disk was full and others have left it for us. */
  async #orRelieved(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(await this.#isRelieved(error))) throw error;
      await work();
    }
  }

  /** The disk was full, and others have left it for us. Nothing is gained by what the task cannot end with, so it asks for all that is missing. */
  async #isRelieved(error: unknown): Promise<boolean> {
    return isDiskFull(error) && !this.#isRemoved && (await this.#context.relieve(this.missingBytes));
  }

  async #use<T>(work: (handle: FileHandle) => Promise<T>): Promise<T> {
    this.#assertPresent();
    await this.#moving;
    return this.#context.handles.use(this, work);
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

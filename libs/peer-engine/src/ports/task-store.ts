import type { PieceRecord, ReadonlyPieceSet, TaskLayout } from '@d7y/piece';
import { DfError } from '@d7y/piece';

/** What is known of a task when its first byte is about to be stored. */
export interface NewTask {
  readonly taskId: string;
  /** Without secrets: signed query parameters removed. */
  readonly url: string;
  readonly layout: TaskLayout;
  /** `algorithm:encoded` of the whole content, where known. */
  readonly digest: string | undefined;
  /** End-to-end headers of the origin that describe the content, lower-case. */
  readonly responseHeaders: Readonly<Record<string, string>>;
  /** The origin refuses anonymous callers. */
  readonly isPrivate: boolean;
}

/** Everything on disk about tasks. Opening it again after a crash gives every piece that was recorded. */
export interface TaskStore {
  get(taskId: string): StoredTask | undefined;
  /**
   * Creates an empty task, or returns the one that exists with the same layout; one with another layout is replaced. What it lacks is
   * reserved for it while it is retained.
   * @throws {NoSpaceError} when what it lacks cannot fit, also after eviction
   */
  create(task: NewTask): Promise<StoredTask>;
  /** Removes content and metadata; a task that is retained goes when its last reader has gone. Unknown ids are fine. */
  delete(taskId: string): Promise<void>;
  list(): Iterable<StoredTask>;
}

/** One task on disk. Its owner (the engine's task) is the only writer; readers are many. */
export interface StoredTask extends NewTask {
  /** All pieces present and, where a digest is known, matched: fit to be offered as complete. */
  readonly isComplete: boolean;
  readonly createdAtMs: number;
  readonly usedAtMs: number;
  /** It stays, however old it is and however full the disk; only `delete` removes it. */
  readonly isPinned: boolean;
  readonly finishedPieces: ReadonlyPieceSet;
  piece(pieceNumber: number): PieceRecord | undefined;
  /** Writes bytes at a position in the task; they count only once their piece is recorded. */
  write(position: number, bytes: readonly Uint8Array[]): Promise<void>;
  /**
   * Opens the content for another thread, which reads and writes by descriptor, at positions in the task. What is written by it counts as
   * what is written by `write`. Absent where there is no file.
   */
  openFile?(): Promise<TaskFile>;
  /** Reads at least one byte into `target` from a position in the task; 0 only at its end. */
  read(position: number, target: Uint8Array): Promise<number>;
  /** Declares a piece complete, or amends its record. Visible at once, on disk with the next batch. */
  recordPiece(piece: PieceRecord): void;
  /** Forgets pieces whose bytes proved wrong. */
  discardPieces(pieceNumbers: Iterable<number>): void;
  /** @see isComplete; on disk when the promise resolves. */
  markComplete(): Promise<void>;
  /** @see isPinned; on disk when the promise resolves. */
  setPinned(isPinned: boolean): Promise<void>;
  /** Keeps the task from eviction until disposed, and counts as use. */
  retain(): Disposable;
}

/** Content of a task as an open file; the descriptor is valid until disposed. */
export interface TaskFile extends Disposable {
  readonly fd: number;
  /**
   * A write through the descriptor failed. Resolves when there is room now, and it is worth trying again.
   * @throws the error in the words of the port: {@link NoSpaceError} where that is so
   */
  recover(error: unknown): Promise<void>;
}

/** The disk, or the share of it that is ours, is full. */
export class NoSpaceError extends DfError {
  override readonly name = 'NoSpaceError';
  readonly code = 'NO_SPACE';
  readonly retryable = true;
  /** @param path where; @param wantedBytes how much was asked for; @param freeBytes how much there is */
  constructor(path: string, wantedBytes: number, freeBytes: number | undefined, options?: ErrorOptions) {
    super(
      `no space in ${path}: ${wantedBytes} bytes wanted${freeBytes === undefined ? '' : `, ${freeBytes} free`}`,
      options,
    );
  }
}

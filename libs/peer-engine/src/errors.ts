import { DfError } from '@d7y/piece';

/** The caller's range starts past the end of the content. */
export class RangeNotSatisfiableError extends DfError {
  override readonly name = 'RangeNotSatisfiableError';
  readonly code = 'RANGE_NOT_SATISFIABLE';
  readonly retryable = false;
  /** Bytes in the whole content. */
  readonly contentLength: number;
  constructor(contentLength: number) {
    super(`the range starts past the end of ${contentLength} bytes`);
    this.contentLength = contentLength;
  }
}

/** The complete content does not have the digest it is named by. */
export class TaskDigestMismatchError extends DfError {
  override readonly name = 'TaskDigestMismatchError';
  readonly code = 'TASK_DIGEST_MISMATCH';
  readonly retryable = true;
  constructor(taskId: string, expected: string, actual: string) {
    super(`task ${taskId}: expected ${expected}, got ${actual}`);
  }
}

/** The bytes of a piece are not those for which somebody vouched who fetched them from the origin. */
export class PieceRefutedError extends DfError {
  override readonly name = 'PieceRefutedError';
  readonly code = 'PIECE_REFUTED';
  readonly retryable = true;
  readonly pieceNumber: number;
  constructor(taskId: string, pieceNumber: number, vouched: string, actual: string) {
    super(`piece ${pieceNumber} of task ${taskId}: ${vouched} is vouched for, got ${actual}`);
    this.pieceNumber = pieceNumber;
  }
}

/** Bytes that a reader was given have proved wrong: it must not be given the rest. */
export class ReleasedBytesRefutedError extends DfError {
  override readonly name = 'ReleasedBytesRefutedError';
  readonly code = 'RELEASED_BYTES_REFUTED';
  readonly retryable = true;
  constructor(taskId: string) {
    super(`task ${taskId}: a piece that was passed on has proved wrong; asked again, it is right`);
  }
}

/** A reader took nothing for so long, while others waited for the buffer it held, that it was cut off. */
export class ReaderStalledError extends DfError {
  override readonly name = 'ReaderStalledError';
  readonly code = 'READER_STALLED';
  readonly retryable = true;
  constructor(taskId: string, stalledMs: number) {
    super(`a reader of task ${taskId} took nothing for ${stalledMs} ms while others waited`);
  }
}

/** A piece on disk is not what it was when it came. */
export class PieceDamagedError extends DfError {
  override readonly name = 'PieceDamagedError';
  readonly code = 'PIECE_DAMAGED';
  readonly retryable = true;
  readonly pieceNumber: number;
  constructor(taskId: string, pieceNumber: number) {
    super(`piece ${pieceNumber} of task ${taskId} is damaged on disk`);
    this.pieceNumber = pieceNumber;
  }
}

/** Neither peers nor the origin gave the content. */
export class TaskUnavailableError extends DfError {
  override readonly name = 'TaskUnavailableError';
  readonly code = 'TASK_UNAVAILABLE';
  readonly retryable = true;
  constructor(taskId: string, reason: string, options?: ErrorOptions) {
    super(`task ${taskId} cannot be had: ${reason}`, options);
  }
}

/** The task ended because nobody wanted it any more, or the daemon stops. */
export class TaskAbandonedError extends DfError {
  override readonly name = 'TaskAbandonedError';
  readonly code = 'TASK_ABANDONED';
  readonly retryable = true;
  constructor(taskId: string, reason: string) {
    super(`task ${taskId} was abandoned: ${reason}`);
  }
}

/** What is here under this id is private content of another address: a right to read the one is none to read the other. */
export class PrivateElsewhereError extends DfError {
  override readonly name = 'PrivateElsewhereError';
  readonly code = 'PRIVATE_ELSEWHERE';
  readonly retryable = false;
  constructor(taskId: string) {
    super(`task ${taskId} is private content of another address than the one asked for`);
  }
}

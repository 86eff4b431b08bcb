import { DfError } from '@d7y/piece';

/** Which piece was asked of whom. */
export interface PieceAttempt {
  /** Piece server, `ip:port`. */
  readonly parentAddress: string;
  readonly taskId: string;
  readonly pieceNumber: number;
}

/** A piece did not come from a parent; another parent, or the same one later, may give it. */
export abstract class PieceFetchError extends DfError implements PieceAttempt {
  readonly retryable = true;
  readonly parentAddress: string;
  readonly taskId: string;
  readonly pieceNumber: number;
  constructor(attempt: PieceAttempt, reason: string, options?: ErrorOptions) {
    super(`piece ${attempt.pieceNumber} of task ${attempt.taskId} from ${attempt.parentAddress}: ${reason}`, options);
    this.parentAddress = attempt.parentAddress;
    this.taskId = attempt.taskId;
    this.pieceNumber = attempt.pieceNumber;
  }
}

/** The bytes of a piece do not hash to the digest its parent announced. */
export class PieceDigestMismatchError extends PieceFetchError {
  override readonly name = 'PieceDigestMismatchError';
  readonly code = 'PIECE_DIGEST_MISMATCH';
  readonly expected: string;
  readonly actual: string;
  constructor(attempt: PieceAttempt, expected: string, actual: string) {
    super(attempt, `announced as ${expected}, received ${actual}`);
    this.expected = expected;
    this.actual = actual;
  }
}

/** The parent describes another piece than the one asked for: its task is cut or filled differently, or it lies. */
export class PieceMismatchError extends PieceFetchError {
  override readonly name = 'PieceMismatchError';
  readonly code = 'PIECE_MISMATCH';
  readonly expected: { readonly offset: number; readonly length: number };
  readonly announced: { readonly number: number; readonly offset: number; readonly length: number };
  constructor(
    attempt: PieceAttempt,
    expected: { readonly offset: number; readonly length: number },
    announced: { readonly number: number; readonly offset: number; readonly length: number },
  ) {
    super(
      attempt,
      `expected ${expected.length} bytes at ${expected.offset}, ` +
        `offered piece ${announced.number} with ${announced.length} bytes at ${announced.offset}`,
    );
    this.expected = expected;
    this.announced = announced;
  }
}

/** The parent answered with an error frame. */
export class PieceRefusedError extends PieceFetchError {
  override readonly name = 'PieceRefusedError';
  readonly code = 'PIECE_REFUSED';
  /** What the parent gave as reason. */
  readonly reason: PieceRefusal;
  readonly reasonText: string;
  constructor(attempt: PieceAttempt, reason: PieceRefusal, reasonText: string) {
    super(attempt, `refused (${reason}): ${reasonText}`);
    this.reason = reason;
    this.reasonText = reasonText;
  }
}

/** Reasons an error frame can give. */
export type PieceRefusal = 'unknown' | 'invalidArgument' | 'notFound' | 'internal';

/** Bytes came, but more slowly than the progress floor. */
export class PieceStalledError extends PieceFetchError {
  override readonly name = 'PieceStalledError';
  readonly code = 'PIECE_STALLED';
  readonly receivedBytes: number;
  readonly windowBytes: number;
  readonly windowMs: number;
  constructor(attempt: PieceAttempt, receivedBytes: number, windowBytes: number, windowMs: number) {
    super(attempt, `only ${windowBytes} bytes in ${windowMs} ms, stopped after ${receivedBytes} bytes`);
    this.receivedBytes = receivedBytes;
    this.windowBytes = windowBytes;
    this.windowMs = windowMs;
  }
}

/** How far a transfer had come when it broke. */
export type TransferPhase = 'connect' | 'header' | 'body';

/** No connection, no answer in time, or one that broke off or made no sense. */
export class PieceTransferError extends PieceFetchError {
  override readonly name = 'PieceTransferError';
  readonly code = 'PIECE_TRANSFER';
  readonly phase: TransferPhase;
  readonly reason: string;
  constructor(attempt: PieceAttempt, phase: TransferPhase, reason: string, options?: ErrorOptions) {
    super(attempt, reason, options);
    this.phase = phase;
    this.reason = reason;
  }
}

/** The thread that received the piece has died. It is nobody's fault but ours, and another thread takes its place. */
export class PieceReceiverLostError extends DfError {
  override readonly name = 'PieceReceiverLostError';
  readonly code = 'PIECE_RECEIVER_LOST';
  readonly retryable = true;
  constructor(options?: ErrorOptions) {
    super('the thread that receives pieces has died', options);
  }
}

/** The parent has the piece, but names no port to fetch it from over TCP (it serves QUIC only). */
export class ParentWithoutPiecePortError extends DfError {
  override readonly name = 'ParentWithoutPiecePortError';
  readonly code = 'PARENT_WITHOUT_PIECE_PORT';
  readonly retryable = false;
  /** Upload gRPC, `ip:port`. */
  readonly parentAddress: string;
  constructor(parentAddress: string) {
    super(`${parentAddress} names no TCP port for its pieces`);
    this.parentAddress = parentAddress;
  }
}

/** The parent takes calls and does not answer them: its machine is up, its daemon is stuck. */
export class ParentSilentError extends DfError {
  override readonly name = 'ParentSilentError';
  readonly code = 'PARENT_SILENT';
  readonly retryable = true;
  /** Upload gRPC, `ip:port`. */
  readonly parentAddress: string;
  constructor(parentAddress: string, timeoutMs: number) {
    super(`${parentAddress} did not answer SyncPieces within ${timeoutMs} ms`);
    this.parentAddress = parentAddress;
  }
}

/** What a parent says about one of its pieces cannot be true. */
export class InvalidAnnouncementError extends DfError {
  override readonly name = 'InvalidAnnouncementError';
  readonly code = 'INVALID_ANNOUNCEMENT';
  readonly retryable = false;
  /** Upload gRPC, `ip:port`. */
  readonly parentAddress: string;
  constructor(parentAddress: string, reason: string) {
    super(`${parentAddress} announced a piece with ${reason}`);
    this.parentAddress = parentAddress;
  }
}

/** More reports waited for the scheduler than the conversation keeps. */
export class AnnouncementBacklogError extends DfError {
  override readonly name = 'AnnouncementBacklogError';
  readonly code = 'ANNOUNCEMENT_BACKLOG';
  readonly retryable = true;
  constructor(address: string, limit: number, options?: ErrorOptions) {
    super(`scheduler ${address} left more than ${limit} reports unread`, options);
  }
}

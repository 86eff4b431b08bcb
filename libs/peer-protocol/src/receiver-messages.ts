import {
  type PieceAttempt,
  PieceDigestMismatchError,
  PieceMismatchError,
  PieceRefusedError,
  PieceStalledError,
  PieceTransferError,
} from './errors.ts';
import type { PieceRefusal, TransferPhase } from './errors.ts';
import type { PieceRequest, ReceivedPiece } from './piece-transfer.ts';
import type { ProgressFloor } from './progress-floor.ts';

/** What a receiver thread is started with. */
export interface ReceiverSettings {
  readonly packetId: number;
  readonly bufferBytes: number;
  readonly maxBuffers: number;
  readonly connectTimeoutMs?: number | undefined;
  readonly headerTimeoutMs?: number | undefined;
  readonly progressFloor?: ProgressFloor | undefined;
}

/** To the thread. `id` counts transfers, `hash` content hashes, `call` questions about these. */
export type ToReceiver =
  | {
      readonly kind: 'fetch';
      readonly id: number;
      readonly request: PieceRequest;
      readonly sha256: boolean;
      readonly isMetered: boolean;
    }
  /** Answered by `failed`, or by the `done` that was on its way. */
  | { readonly kind: 'abort'; readonly id: number }
  /** The answer to `open`: write here. */
  | { readonly kind: 'file'; readonly id: number; readonly fd: number }
  /** The answer to `stuck`: the write is worth another try. */
  | { readonly kind: 'retry'; readonly id: number }
  /** Limits have granted so many of the bytes that were `drawn`. */
  | { readonly kind: 'granted'; readonly id: number; readonly bytes: number }
  | {
      readonly kind: 'hash';
      readonly hash: number;
      readonly taskId: string;
      readonly algorithm: string;
      readonly fd: number;
    }
  | { readonly kind: 'hashTo'; readonly hash: number; readonly call: number; readonly end: number }
  | { readonly kind: 'hashAgainFrom'; readonly hash: number; readonly position: number }
  | { readonly kind: 'digest'; readonly hash: number; readonly call: number; readonly end: number }
  | { readonly kind: 'closeHash'; readonly hash: number; readonly call: number }
  | {
      readonly kind: 'hashPart';
      readonly call: number;
      readonly algorithm: string;
      readonly fd: number;
      readonly start: number;
      readonly end: number;
    };

/** From the thread. */
export type FromReceiver =
  /** The first bytes are here: where do they go? */
  | { readonly kind: 'open'; readonly id: number }
  /** Bytes that have arrived; writing took so long since the last message. */
  | { readonly kind: 'drawn'; readonly id: number; readonly bytes: number; readonly writeMs: number }
  | { readonly kind: 'stuck'; readonly id: number; readonly error: WriteFailure }
  /** Nothing is written any more. */
  | { readonly kind: 'done'; readonly id: number; readonly piece: ReceivedPiece }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: FetchFailure }
  | { readonly kind: 'answer'; readonly call: number; readonly digest?: string; readonly error?: WriteFailure };

/** An error of the file system. */
export interface WriteFailure {
  readonly message: string;
  readonly code: string | undefined;
}

export function toWriteFailure(error: unknown): WriteFailure {
  const { message, code } = (error ?? {}) as { message?: unknown; code?: unknown };
  return { message: String(message ?? error), code: typeof code === 'string' ? code : undefined };
}

export function fromWriteFailure({ message, code }: WriteFailure): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code });
}

/** Why a transfer failed, without what both sides know. */
export type FetchFailure =
  | { readonly kind: 'digest'; readonly expected: string; readonly actual: string }
  | {
      readonly kind: 'mismatch';
      readonly expected: PieceMismatchError['expected'];
      readonly announced: PieceMismatchError['announced'];
    }
  | { readonly kind: 'refused'; readonly reason: PieceRefusal; readonly text: string }
  | {
      readonly kind: 'stalled';
      readonly receivedBytes: number;
      readonly windowBytes: number;
      readonly windowMs: number;
    }
  | { readonly kind: 'transfer'; readonly phase: TransferPhase; readonly reason: string }
  | { readonly kind: 'other'; readonly message: string };

export function toFetchFailure(error: unknown): FetchFailure {
  if (error instanceof PieceDigestMismatchError)
    return { kind: 'digest', expected: error.expected, actual: error.actual };
  if (error instanceof PieceMismatchError) {
    return { kind: 'mismatch', expected: { ...error.expected }, announced: { ...error.announced } };
  }
  if (error instanceof PieceRefusedError) return { kind: 'refused', reason: error.reason, text: error.reasonText };
  if (error instanceof PieceStalledError) {
    const { receivedBytes, windowBytes, windowMs } = error;
    return { kind: 'stalled', receivedBytes, windowBytes, windowMs };
  }
  if (error instanceof PieceTransferError) return { kind: 'transfer', phase: error.phase, reason: error.reason };
  return { kind: 'other', message: error instanceof Error ? error.message : String(error) };
}

export function fromFetchFailure(failure: FetchFailure, attempt: PieceAttempt): Error {
  switch (failure.kind) {
    case 'digest':
      return new PieceDigestMismatchError(attempt, failure.expected, failure.actual);
    case 'mismatch':
      return new PieceMismatchError(attempt, failure.expected, failure.announced);
    case 'refused':
      return new PieceRefusedError(attempt, failure.reason, failure.text);
    case 'stalled':
      return new PieceStalledError(attempt, failure.receivedBytes, failure.windowBytes, failure.windowMs);
    case 'transfer':
      return new PieceTransferError(attempt, failure.phase, failure.reason);
    case 'other':
      return new Error(failure.message);
    default:
      return failure satisfies never;
  }
}

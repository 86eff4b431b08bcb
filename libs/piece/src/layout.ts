import type { ByteRange } from './byte-range.ts';
import { InvalidLayoutError, PieceOutOfRangeError } from './errors.ts';

const MIB = 2 ** 20;
/** Bounds of the piece length rule, in bytes; a request may choose any length between them. */
export const MIN_PIECE_LENGTH = 4 * MIB;
export const MAX_PIECE_LENGTH = 64 * MIB;
/** The rule aims at no more pieces than this per task. */
const WANTED_PIECES = 500;
/** More pieces than this no task may have: 64 TiB by the rule. It bounds every table that has an entry a piece. */
export const MAX_PIECE_COUNT = 2 ** 20;

/** How the bytes of one task are cut into pieces: number n covers `pieceLength` bytes from n·pieceLength, the last one fewer. */
export interface TaskLayout {
  /** Bytes in the whole task. */
  readonly contentLength: number;
  /** Bytes per piece. */
  readonly pieceLength: number;
  /** 0 for empty content. */
  readonly pieceCount: number;
}

/**
 * The piece length everybody derives from the content length alone: the smallest power of two that is at least a
 * 500th of it (rounded down), between 4 MiB and 64 MiB.
 */
export function pieceLengthFor(contentLength: number): number {
  const wanted = Math.floor(contentLength / WANTED_PIECES);
  let length = MIN_PIECE_LENGTH;
  while (length < wanted && length < MAX_PIECE_LENGTH) length *= 2;
  return length;
}

/**
 * @param contentLength bytes in the whole task
 * @param pieceLength an explicit piece length, which then is part of the task id; the rule's otherwise
 * @throws {InvalidLayoutError} when one is not a whole number of bytes, or the pieces are more than MAX_PIECE_COUNT
 */
export function createLayout(contentLength: number, pieceLength = pieceLengthFor(contentLength)): TaskLayout {
  const pieceCount = Math.ceil(contentLength / pieceLength);
  const areWhole = Number.isSafeInteger(contentLength) && Number.isSafeInteger(pieceLength);
  if (!areWhole || contentLength < 0 || pieceLength < 1 || pieceCount > MAX_PIECE_COUNT) {
    throw new InvalidLayoutError(contentLength, pieceLength);
  }
  return { contentLength, pieceLength, pieceCount };
}

/**
 * Bytes of one piece within its task.
 * @throws {PieceOutOfRangeError} when the task has no such piece
 */
export function pieceRange(layout: TaskLayout, pieceNumber: number): ByteRange {
  if (!Number.isInteger(pieceNumber) || pieceNumber < 0 || pieceNumber >= layout.pieceCount) {
    throw new PieceOutOfRangeError(pieceNumber, layout.pieceCount);
  }
  const start = pieceNumber * layout.pieceLength;
  return { start, length: Math.min(layout.pieceLength, layout.contentLength - start) };
}

/** First and last number (both included) of the pieces that a range touches; undefined for a range without bytes. */
export function piecesOf(layout: TaskLayout, range: ByteRange): { first: number; last: number } | undefined {
  const end = Math.min(range.start + range.length, layout.contentLength);
  if (end <= range.start) return undefined;
  return {
    first: Math.floor(range.start / layout.pieceLength),
    last: Math.floor((end - 1) / layout.pieceLength),
  };
}

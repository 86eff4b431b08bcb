/** What every error of this system carries beside its sentence: a stable code, and whether trying again can help. */
export abstract class DfError extends Error {
  /** Stable, upper-case; survives the wire and duplicate packages, so it is what callers match on. */
  abstract readonly code: string;
  /** True when the same request may succeed later or elsewhere. */
  abstract readonly retryable: boolean;
}

/** A text that should have been a digest is none. */
export class DigestFormatError extends DfError {
  override readonly name = 'DigestFormatError';
  readonly code = 'DIGEST_FORMAT';
  readonly retryable = false;
  readonly text: string;
  constructor(text: string) {
    const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
    super(`"${shown}" is not a digest such as sha256:<64 hex characters>`);
    this.text = text;
  }
}

/** Nothing can be cut into pieces like that: a length that is no whole number of bytes, or too many pieces. */
export class InvalidLayoutError extends DfError {
  override readonly name = 'InvalidLayoutError';
  readonly code = 'INVALID_LAYOUT';
  readonly retryable = false;
  /** Bytes. */
  readonly contentLength: number;
  /** Bytes. */
  readonly pieceLength: number;
  constructor(contentLength: number, pieceLength: number) {
    super(`${contentLength} bytes cannot be cut into pieces of ${pieceLength}`);
    this.contentLength = contentLength;
    this.pieceLength = pieceLength;
  }
}

/** A piece number lies past the end of its task. */
export class PieceOutOfRangeError extends DfError {
  override readonly name = 'PieceOutOfRangeError';
  readonly code = 'PIECE_OUT_OF_RANGE';
  readonly retryable = false;
  readonly pieceNumber: number;
  readonly pieceCount: number;
  constructor(pieceNumber: number, pieceCount: number) {
    super(`piece ${pieceNumber} does not exist: the task has ${pieceCount} pieces`);
    this.pieceNumber = pieceNumber;
    this.pieceCount = pieceCount;
  }
}

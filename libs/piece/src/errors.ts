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
    super(`"${text}" is not a digest such as sha256:<64 hex characters>`);
    this.text = text;
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

import { DfError } from '@d7y/piece';

/** What a peer sent is not a frame of the piece protocol. The connection is of no further use. */
export abstract class MalformedFrameError extends DfError {
  /** Asking again makes no sense here, but another parent may speak properly. */
  readonly retryable = true;
}

/** The tag byte names no frame that is expected in this direction. */
export class UnknownTagError extends MalformedFrameError {
  override readonly name = 'UnknownTagError';
  readonly code = 'FRAME_UNKNOWN_TAG';
  readonly tag: number;
  constructor(tag: number) {
    super(`tag ${tag} is not expected here`);
    this.tag = tag;
  }
}

/** A length in a frame is too large, too small, or contradicts another one. */
export class FrameLengthError extends MalformedFrameError {
  override readonly name = 'FrameLengthError';
  readonly code = 'FRAME_LENGTH';
  /** Which length. */
  readonly field: string;
  /** As it stood in the frame, in bytes. */
  readonly length: number;
  /** @param expected what would have been right, in words */
  constructor(field: string, length: number, expected: string) {
    super(`${field} is ${length} bytes long instead of ${expected}`);
    this.field = field;
    this.length = length;
  }
}

/** A text in a frame is not valid in its encoding. */
export class FrameTextError extends MalformedFrameError {
  override readonly name = 'FrameTextError';
  readonly code = 'FRAME_TEXT';
  readonly field: string;
  constructor(field: string, encoding: 'UTF-8' | 'printable ASCII', options?: ErrorOptions) {
    super(`${field} is not ${encoding}`, options);
    this.field = field;
  }
}

/** A 64-bit number in a frame is too large to mean anything. */
export class FrameNumberError extends MalformedFrameError {
  override readonly name = 'FrameNumberError';
  readonly code = 'FRAME_NUMBER';
  readonly field: string;
  readonly value: bigint;
  constructor(field: string, value: bigint) {
    super(`${field} cannot be ${value}`);
    this.field = field;
    this.value = value;
  }
}

/** The peer hung up in the middle of a frame. */
export class FrameTruncatedError extends MalformedFrameError {
  override readonly name = 'FrameTruncatedError';
  readonly code = 'FRAME_TRUNCATED';
  /** Bytes of the frame that had come. */
  readonly receivedBytes: number;
  constructor(receivedBytes: number) {
    super(`the connection ended after ${receivedBytes} bytes of a frame`);
    this.receivedBytes = receivedBytes;
  }
}

/** A value of our own does not fit into a frame: a mistake of the caller. */
export class FrameFieldError extends DfError {
  override readonly name = 'FrameFieldError';
  readonly code = 'FRAME_FIELD';
  readonly retryable = false;
  readonly field: string;
  constructor(field: string, rule: string) {
    super(`${field} must be ${rule}`);
    this.field = field;
  }
}

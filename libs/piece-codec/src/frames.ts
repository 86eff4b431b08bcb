import type { TrafficType } from '@d7y/piece';
import type { TurnRequestFrame } from './turn-frames.ts';

/** The families of tasks that the piece protocol knows; `cache` is defined, but served by nobody. */
export type PieceFamily = 'standard' | 'persistent' | 'persistentCache' | 'cache';

/** Why a parent does not send a piece. Codes we do not know are read as `unknown`. */
export type FrameErrorCode = 'unknown' | 'invalidArgument' | 'notFound' | 'internal';

/** A piece as its sender describes it in front of its bytes. */
export interface PieceMetadata {
  /** Counted from 0. */
  readonly number: number;
  /** Position of the first byte in the task. */
  readonly offset: number;
  /** Bytes of content that follow. */
  readonly length: number;
  /** `crc32:<decimal>`; empty when the sender has none. */
  readonly digest: string;
  /** The piece's own parent at the sender; empty when it came from the origin. */
  readonly parentId: string;
  /** How the sender got the piece. Stock senders always say `remotePeer`; undefined for a number without meaning. */
  readonly trafficType: TrafficType | undefined;
  /** How long the sender's own transfer took; whole seconds on the wire, rounded down. */
  readonly costMs: number;
  /** Unix time in milliseconds; whole seconds on the wire, rounded down. */
  readonly createdAtMs: number;
}

/** What a child sends. */
export type RequestFrame =
  | {
      readonly kind: 'request';
      /** 0 … 255, any. */
      readonly packetId: number;
      readonly family: PieceFamily;
      /** 64 printable ASCII characters. */
      readonly taskId: string;
      /** Counted from 0. */
      readonly number: number;
    }
  | TurnRequestFrame
  | CloseFrame;

/** What a parent sends. The `meta.length` bytes of a piece follow its content frame, outside of any frame. */
export type AnswerFrame =
  | {
      readonly kind: 'content';
      readonly packetId: number;
      readonly family: PieceFamily;
      readonly meta: PieceMetadata;
    }
  | {
      readonly kind: 'error';
      readonly packetId: number;
      readonly code: FrameErrorCode;
      readonly message: string;
    }
  | CloseFrame;

/** Either side says goodbye; stock daemons never do. */
export interface CloseFrame {
  readonly kind: 'close';
  readonly packetId: number;
}

/** What one call of a decoder made of a run of bytes. */
export interface Decoded<Frame> {
  /** Bytes of the run that belong to frames; what follows is the caller's (content, or the next frame). */
  readonly consumed: number;
  /** The frame that became complete, if one did. */
  readonly frame: Frame | undefined;
}

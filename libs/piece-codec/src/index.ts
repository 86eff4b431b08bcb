export { PieceAnswerDecoder } from './answer-decoder.ts';
export { encodeClose, encodeError, encodePieceHeader, encodePieceRequest } from './encode.ts';
export {
  FrameFieldError,
  FrameLengthError,
  FrameNumberError,
  FrameTextError,
  FrameTruncatedError,
  MalformedFrameError,
  UnknownTagError,
} from './errors.ts';
export type {
  AnswerFrame,
  CloseFrame,
  Decoded,
  FrameErrorCode,
  PieceFamily,
  PieceMetadata,
  RequestFrame,
} from './frames.ts';
export { isPieceRequestStart, PieceRequestDecoder } from './request-decoder.ts';
export { encodeTurnAnswer, encodeTurnRequest, TurnAnswerDecoder } from './turn-frames.ts';
export type { IntakeLevel, TurnAnswerFrame, TurnReason, TurnRequestFrame, TurnWish } from './turn-frames.ts';

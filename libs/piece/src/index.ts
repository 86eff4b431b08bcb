export { parseContentRange, parseRangeHeader, toContentRangeHeader, toRangeHeader } from './byte-range.ts';
export type { ByteRange, RangeRequest } from './byte-range.ts';
export { formatDigest, parseDigest, pieceDigest, pieceDigestOf } from './digest.ts';
export type { Digest, DigestAlgorithm } from './digest.ts';
export { DfError, DigestFormatError, InvalidLayoutError, PieceOutOfRangeError } from './errors.ts';
export { hostIdOf, peerIdOf } from './host-id.ts';
export {
  createLayout,
  MAX_PIECE_COUNT,
  MAX_PIECE_LENGTH,
  MIN_PIECE_LENGTH,
  pieceLengthFor,
  pieceRange,
  piecesOf,
} from './layout.ts';
export type { TaskLayout } from './layout.ts';
export type { PieceRecord, PieceReport, TrafficType } from './piece-record.ts';
export { PieceSet } from './piece-set.ts';
export type { ReadonlyPieceSet } from './piece-set.ts';
export {
  blobDigestOf,
  DEFAULT_FILTERED_QUERY_PARAMS,
  hashedUrl,
  persistentCacheTaskIdOf,
  persistentTaskIdOf,
  taskIdOf,
} from './task-id.ts';
export type { TaskIdInput } from './task-id.ts';

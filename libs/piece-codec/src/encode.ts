import { FrameFieldError } from './errors.ts';
import type { FrameErrorCode, PieceFamily, PieceMetadata } from './frames.ts';
import {
  CLOSE_TAG,
  contentTagOf,
  ERROR_CODES,
  ERROR_TAG,
  HEADER_BYTES,
  MAX_DIGEST_BYTES,
  MAX_ERROR_MESSAGE_BYTES,
  MAX_PARENT_ID_BYTES,
  MAX_PIECE_NUMBER,
  METADATA_FIXED_BYTES,
  METADATA_LENGTH_BYTES,
  REQUEST_VALUE_BYTES,
  requestTagOf,
  TASK_ID_BYTES,
  TRAFFIC_TYPES,
} from './layout.ts';
import { checkInteger, checkTaskId, newFrame } from './new-frame.ts';

const utf8 = new TextEncoder();

/**
 * The frame with which a child asks for a piece.
 * @param taskId 64 printable ASCII characters
 * @param number of the piece, counted from 0
 * @param packetId 0 … 255, any
 * @throws {FrameFieldError}
 */
export function encodePieceRequest(family: PieceFamily, taskId: string, number: number, packetId: number): Uint8Array {
  checkTaskId(taskId);
  checkInteger('piece number', number, 0, MAX_PIECE_NUMBER);
  const { bytes, view } = newFrame(packetId, requestTagOf(family), REQUEST_VALUE_BYTES);
  utf8.encodeInto(taskId, bytes.subarray(HEADER_BYTES));
  view.setUint32(HEADER_BYTES + TASK_ID_BYTES, number);
  return bytes;
}

/**
 * Everything that goes in front of the bytes of a piece. They must follow, exactly `meta.length` of them; the length in
 * the header does not count them.
 * @throws {FrameFieldError}
 */
export function encodePieceHeader(family: PieceFamily, meta: PieceMetadata, packetId: number): Uint8Array {
  checkInteger('piece number', meta.number, 0, MAX_PIECE_NUMBER);
  checkInteger('piece offset', meta.offset, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('piece length', meta.length, 0, Number.MAX_SAFE_INTEGER - meta.offset);
  const costSeconds = wholeSeconds('piece cost', Math.max(meta.costMs, 0));
  const createdAtSeconds = wholeSeconds('piece creation time', meta.createdAtMs);
  const digest = encodeText('digest', meta.digest, MAX_DIGEST_BYTES);
  const parentId = encodeText('parent id', meta.parentId, MAX_PARENT_ID_BYTES);
  const metadataBytes = METADATA_FIXED_BYTES + digest.length + parentId.length;
  const { bytes, view } = newFrame(packetId, contentTagOf(family), METADATA_LENGTH_BYTES + metadataBytes);
  let at = HEADER_BYTES;
  const uint32 = (value: number): void => {
    view.setUint32(at, value);
    at += 4;
  };
  const int64 = (value: number): void => {
    view.setBigInt64(at, BigInt(value));
    at += 8;
  };
  const text = (value: Uint8Array): void => {
    uint32(value.length);
    bytes.set(value, at);
    at += value.length;
  };
  uint32(metadataBytes);
  uint32(meta.number);
  int64(meta.offset);
  int64(meta.length);
  text(digest);
  text(parentId);
  view.setUint8(at, TRAFFIC_TYPES.indexOf(meta.trafficType ?? 'remotePeer'));
  at += 1;
  int64(costSeconds);
  int64(createdAtSeconds);
  return bytes;
}

/**
 * The frame with which a parent refuses a piece.
 * @param message shortened when it is longer than a child would accept
 * @throws {FrameFieldError} when the packet id is not a byte
 */
export function encodeError(code: FrameErrorCode, message: string, packetId: number): Uint8Array {
  const text = new Uint8Array(Math.min(MAX_ERROR_MESSAGE_BYTES, 3 * message.length));
  const { written } = utf8.encodeInto(message, text); // stops before a character that does not fit
  const { bytes, view } = newFrame(packetId, ERROR_TAG, 1 + written);
  view.setUint8(HEADER_BYTES, ERROR_CODES.indexOf(code));
  bytes.set(text.subarray(0, written), HEADER_BYTES + 1);
  return bytes;
}

/**
 * The frame that says goodbye.
 * @throws {FrameFieldError} when the packet id is not a byte
 */
export function encodeClose(packetId: number): Uint8Array {
  return newFrame(packetId, CLOSE_TAG, 0).bytes;
}

function encodeText(field: string, text: string, maxBytes: number): Uint8Array {
  const bytes = text.length <= maxBytes ? utf8.encode(text) : undefined;
  if (bytes === undefined || bytes.length > maxBytes)
    throw new FrameFieldError(field, `at most ${maxBytes} bytes long`);
  return bytes;
}

function wholeSeconds(field: string, ms: number): number {
  const seconds = Math.floor(ms / 1000);
  if (!Number.isSafeInteger(seconds * 1000)) throw new FrameFieldError(field, 'a time in milliseconds');
  return seconds;
}

import { FrameLengthError, FrameNumberError, FrameTextError, UnknownTagError } from './errors.ts';
import { FrameReader, type Step } from './frame-reader.ts';
import type { AnswerFrame, Decoded, PieceMetadata } from './frames.ts';
import {
  CLOSE_TAG,
  ERROR_CODES,
  ERROR_TAG,
  familyOfContentTag,
  HEADER_BYTES,
  MAX_DIGEST_BYTES,
  MAX_ERROR_MESSAGE_BYTES,
  MAX_METADATA_BYTES,
  MAX_PARENT_ID_BYTES,
  METADATA_FIXED_BYTES,
  METADATA_LENGTH_BYTES,
  TRAFFIC_TYPES,
} from './layout.ts';

const METADATA_START = HEADER_BYTES + METADATA_LENGTH_BYTES;
/** Times longer than this cannot be told in milliseconds. */
const MAX_SECONDS = Math.floor(Number.MAX_SAFE_INTEGER / 1000);

/** Reads what a parent sends, except the bytes of pieces: it stops in front of them. */
export class PieceAnswerDecoder {
  readonly #reader = new FrameReader(readAnswer);

  /**
   * Takes the next bytes off the socket, at most up to the end of a frame. After a content frame the caller takes
   * `meta.length` bytes itself before it calls again.
   * @throws {MalformedFrameError} and so does every later call
   */
  push(chunk: Uint8Array): Decoded<AnswerFrame> {
    return this.#reader.push(chunk);
  }

  /**
   * To be called when the parent has hung up.
   * @throws {FrameTruncatedError} in the middle of a frame
   */
  end(): void {
    this.#reader.end();
  }
}

function readAnswer(gathered: DataView): Step<AnswerFrame> {
  const packetId = gathered.getUint8(0);
  const tag = gathered.getUint8(1);
  const length = gathered.getUint32(2);
  if (tag === CLOSE_TAG) {
    if (length !== 0) throw new FrameLengthError('close', length, '0');
    return { frame: { kind: 'close', packetId } };
  }
  if (tag === ERROR_TAG) return readError(gathered, packetId, length);
  const family = familyOfContentTag(tag);
  if (family === undefined) throw new UnknownTagError(tag);
  // The header's length should be that of the metadata and its length field. Some count the content too, stock children
  // read past it: only what cannot hold any metadata is refused.
  if (length < METADATA_LENGTH_BYTES + METADATA_FIXED_BYTES) {
    throw new FrameLengthError('content', length, `at least ${METADATA_LENGTH_BYTES + METADATA_FIXED_BYTES}`);
  }
  if (gathered.byteLength === HEADER_BYTES) return { more: METADATA_LENGTH_BYTES };
  const metadataBytes = gathered.getUint32(HEADER_BYTES);
  if (metadataBytes < METADATA_FIXED_BYTES || metadataBytes > MAX_METADATA_BYTES) {
    throw new FrameLengthError('metadata', metadataBytes, `${METADATA_FIXED_BYTES} to ${MAX_METADATA_BYTES}`);
  }
  if (gathered.byteLength === METADATA_START) return { more: metadataBytes };
  return { frame: { kind: 'content', packetId, family, meta: readMetadata(gathered) } };
}

function readError(gathered: DataView, packetId: number, length: number): Step<AnswerFrame> {
  if (length < 1 || length > 1 + MAX_ERROR_MESSAGE_BYTES) {
    throw new FrameLengthError('error', length, `1 to ${1 + MAX_ERROR_MESSAGE_BYTES}`);
  }
  if (gathered.byteLength === HEADER_BYTES) return { more: length };
  const code = ERROR_CODES[gathered.getUint8(HEADER_BYTES)] ?? 'unknown';
  const message = readUtf8('error message', gathered, HEADER_BYTES + 1, length - 1);
  return { frame: { kind: 'error', packetId, code, message } };
}

/** @param gathered a whole content frame, as long as its metadata length says */
function readMetadata(gathered: DataView): PieceMetadata {
  const metadataBytes = gathered.byteLength - METADATA_START;
  let textBytes = metadataBytes - METADATA_FIXED_BYTES;
  let at = METADATA_START;
  const skip = (bytes: number): number => {
    at += bytes;
    return at - bytes;
  };
  const text = (field: string, maxBytes: number): string => {
    const bytes = gathered.getUint32(skip(4));
    const limit = Math.min(maxBytes, textBytes);
    if (bytes > limit) throw new FrameLengthError(field, bytes, `at most ${limit}`);
    textBytes -= bytes;
    return readUtf8(field, gathered, skip(bytes), bytes);
  };
  const number = gathered.getUint32(skip(4));
  const offset = toNumber('piece offset', gathered.getBigUint64(skip(8)), Number.MAX_SAFE_INTEGER);
  const length = toNumber('piece length', gathered.getBigUint64(skip(8)), Number.MAX_SAFE_INTEGER - offset);
  const digest = text('digest', MAX_DIGEST_BYTES);
  const parentId = text('parent id', MAX_PARENT_ID_BYTES);
  if (textBytes > 0) throw new FrameLengthError('metadata', metadataBytes, `${metadataBytes - textBytes}`);
  const trafficType = TRAFFIC_TYPES[gathered.getUint8(skip(1))];
  const costMs = 1000 * toNumber('piece cost', gathered.getBigUint64(skip(8)), MAX_SECONDS);
  const createdAtMs = 1000 * toNumber('piece creation time', gathered.getBigInt64(skip(8)), MAX_SECONDS);
  return { number, offset, length, digest, parentId, trafficType, costMs, createdAtMs };
}

function toNumber(field: string, value: bigint, max: number): number {
  if (value > max || value < -max) throw new FrameNumberError(field, value);
  return Number(value);
}

function readUtf8(field: string, gathered: DataView, start: number, bytes: number): string {
  try {
    // A new decoder each time: a fatal one keeps state over an error.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      new Uint8Array(gathered.buffer, start, bytes),
    );
  } catch (cause) {
    throw new FrameTextError(field, 'UTF-8', { cause });
  }
}

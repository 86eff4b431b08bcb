import { FrameLengthError, UnknownTagError } from './errors.ts';
import { FrameReader, type Step } from './frame-reader.ts';
import type { Decoded, RequestFrame } from './frames.ts';
import { CLOSE_TAG, familyOfRequestTag, HEADER_BYTES, REQUEST_VALUE_BYTES, TASK_ID_BYTES } from './layout.ts';
import { isTurnRequestTag, readTaskId, readTurnRequest } from './turn-frames.ts';

/** Reads what a child sends. */
export class PieceRequestDecoder {
  readonly #reader = new FrameReader(readRequest);

  /**
   * Takes the next bytes off the socket, at most up to the end of a frame.
   * @throws {MalformedFrameError} and so does every later call
   */
  push(chunk: Uint8Array): Decoded<RequestFrame> {
    return this.#reader.push(chunk);
  }

  /**
   * To be called when the child has sent everything.
   * @throws {FrameTruncatedError} in the middle of a frame
   */
  end(): void {
    this.#reader.end();
  }
}

function readRequest(gathered: DataView): Step<RequestFrame> {
  const packetId = gathered.getUint8(0);
  const tag = gathered.getUint8(1);
  const length = gathered.getUint32(2);
  if (tag === CLOSE_TAG) {
    if (length !== 0) throw new FrameLengthError('close', length, '0');
    return { frame: { kind: 'close', packetId } };
  }
  if (isTurnRequestTag(tag)) return readTurnRequest(gathered);
  const family = familyOfRequestTag(tag);
  if (family === undefined) throw new UnknownTagError(tag);
  if (length !== REQUEST_VALUE_BYTES) throw new FrameLengthError('request', length, `${REQUEST_VALUE_BYTES}`);
  if (gathered.byteLength === HEADER_BYTES) return { more: REQUEST_VALUE_BYTES };
  const taskId = readTaskId(gathered, HEADER_BYTES);
  return {
    frame: { kind: 'request', packetId, family, taskId, number: gathered.getUint32(HEADER_BYTES + TASK_ID_BYTES) },
  };
}

/**
 * Tells a piece request from HTTP/2 (`PRI * `) and HTTP/1 on a port that serves both.
 * @param bytes the first bytes of a connection; six are enough
 * @returns undefined while too few bytes are there to tell
 */
export function isPieceRequestStart(bytes: Uint8Array): boolean | undefined {
  const [, tag, ...length] = bytes.subarray(0, HEADER_BYTES);
  if (tag === undefined) return undefined;
  const expected = [0, 0, 0, REQUEST_VALUE_BYTES];
  if (familyOfRequestTag(tag) === undefined || length.some((byte, index) => byte !== expected[index])) return false;
  return bytes.length >= HEADER_BYTES ? true : undefined;
}

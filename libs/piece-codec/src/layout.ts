import type { TrafficType } from '@d7y/piece';
import type { FrameErrorCode, PieceFamily } from './frames.ts';

/** Bytes of a header: packet id (1), tag (1), length of the value (4). All numbers are big-endian. */
export const HEADER_BYTES = 6;
/** Bytes of a task id. */
export const TASK_ID_BYTES = 64;
/** Bytes of a request's value: task id and piece number (4). */
export const REQUEST_VALUE_BYTES = TASK_ID_BYTES + 4;
/** Bytes in front of a piece's metadata that tell its length. */
export const METADATA_LENGTH_BYTES = 4;
/** Bytes of a piece's metadata besides its two texts. */
export const METADATA_FIXED_BYTES = 4 + 8 + 8 + 4 + 4 + 1 + 8 + 8;

/** The longest digest we know is `sha512:` and 128 characters. */
export const MAX_DIGEST_BYTES = 256;
/** `<ip>-<hostname>-<uuid>-seed` takes at most 341 bytes with the longest host name that DNS allows. */
export const MAX_PARENT_ID_BYTES = 1024;
export const MAX_METADATA_BYTES = METADATA_FIXED_BYTES + MAX_DIGEST_BYTES + MAX_PARENT_ID_BYTES;
/** An error is one sentence; chains of causes stay well below this. */
export const MAX_ERROR_MESSAGE_BYTES = 16 * 1024;
export const MAX_PIECE_NUMBER = 2 ** 32 - 1;

export const CLOSE_TAG = 254;
export const ERROR_TAG = 255;

/** Requests have even tags, the answer to each the odd one after it. */
const FAMILIES = ['standard', 'persistent', 'persistentCache', 'cache'] as const satisfies readonly PieceFamily[];

export function requestTagOf(family: PieceFamily): number {
  return 2 * FAMILIES.indexOf(family);
}

export function contentTagOf(family: PieceFamily): number {
  return requestTagOf(family) + 1;
}

/** @returns undefined when the tag is not that of a request */
export function familyOfRequestTag(tag: number): PieceFamily | undefined {
  return FAMILIES[tag / 2];
}

/** @returns undefined when the tag is not that of a piece's content */
export function familyOfContentTag(tag: number): PieceFamily | undefined {
  return FAMILIES[(tag - 1) / 2];
}

/** Position is the byte on the wire. */
export const ERROR_CODES = [
  'unknown',
  'invalidArgument',
  'notFound',
  'internal',
] as const satisfies readonly FrameErrorCode[];
/** Position is the byte on the wire. */
export const TRAFFIC_TYPES = ['backToSource', 'remotePeer', 'localPeer'] as const satisfies readonly TrafficType[];

import type { ByteRange } from '@d7y/piece';
import type { Peer } from './peer.ts';

/** Finer ranges than this part of the content are as good as equal: 2^-12. */
const FINEST_LEVEL = 12;

/** First byte, and the one after the last, of all pieces that the range touches. */
function spanOf({ start, length }: ByteRange, pieceLength = 1): readonly [number, number] {
  const end = start + length;
  return [Math.floor(start / pieceLength) * pieceLength, Math.ceil(end / pieceLength) * pieceLength];
}

/** Whether there is a piece that both want. */
export function isSharedWish(one: Peer, other: Peer): boolean {
  if (one.range === undefined || other.range === undefined) return true;
  const { pieceLength } = one.task.size;
  const [from, to] = spanOf(one.range, pieceLength);
  const [otherFrom, otherTo] = spanOf(other.range, pieceLength);
  return from < otherTo && otherFrom < to;
}

/** Whether one wants every piece that the other does. */
export function coversWish(one: Peer, other: Peer): boolean {
  if (one.range === undefined) return true;
  if (other.range === undefined) return false;
  const { pieceLength } = one.task.size;
  const [from, to] = spanOf(one.range, pieceLength);
  const [otherFrom, otherTo] = spanOf(other.range, pieceLength);
  return from <= otherFrom && otherTo <= to;
}

/**
 * Where in the content a range lies, and how long it is: level 0 is the whole, and each part of a level has two in the next. A range is in a
 * part that is no longer than twice as long as itself, and its middle lies there.
 */
export interface WishPlace {
  readonly level: number;
  readonly index: number;
}

export const WHOLE: WishPlace = { level: 0, index: 0 };

/** @param contentLength bytes; while it is unknown every range is in one place */
export function placeOf(range: ByteRange | undefined, contentLength: number | undefined): WishPlace {
  if (range === undefined || contentLength === undefined || contentLength <= 0) return WHOLE;
  const parts = contentLength / Math.max(range.length, 1);
  const level = Math.min(FINEST_LEVEL, Math.max(0, Math.floor(Math.log2(parts))));
  const middle = range.start + range.length / 2;
  return { level, index: Math.min(2 ** level - 1, Math.floor((middle / contentLength) * 2 ** level)) };
}

/** Places whose ranges are likely to have pieces in common with those of this one, the likeliest first. */
export function* placesNear({ level, index }: WishPlace): Generator<WishPlace> {
  yield { level, index };
  if (index > 0) yield { level, index: index - 1 };
  if (index < 2 ** level - 1) yield { level, index: index + 1 };
  for (let up = 1; up <= level; up++) yield { level: level - up, index: index >> up };
}

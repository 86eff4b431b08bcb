import type { MessageInitShape } from '@bufbuild/protobuf';
import type { swarm } from '@d7y/api';
import { MAX_PIECE_COUNT } from '@d7y/piece';

/** From so many neighbours on they are told as first and count; gaps as long begin a new run. */
const LONG = 64;

type RunInit = MessageInitShape<typeof swarm.PieceRunSchema>;

/** Pieces as messages of ours tell them. @param pieceNumbers ascending */
export function toPieceBitmap(pieceNumbers: Iterable<number>): MessageInitShape<typeof swarm.PieceBitmapSchema> {
  const runs: RunInit[] = [];
  let bits: { first: number; end: number; pieces: number[] } | undefined;
  const flush = (): void => {
    if (bits !== undefined) runs.push({ first: bits.first, bits: packed(bits.first, bits.pieces) });
    bits = undefined;
  };
  for (const [first, end] of neighbours(pieceNumbers)) {
    if (end - first >= LONG) {
      flush();
      runs.push({ first, count: end - first });
      continue;
    }
    if (bits !== undefined && first - bits.end >= LONG) flush();
    bits ??= { first, end, pieces: [] };
    bits.end = end;
    for (let number = first; number < end; number++) bits.pieces.push(number);
  }
  flush();
  return { runs };
}

/**
 * What such a message tells, ascending. Runs that do not ascend, and pieces that no task can have, end it: a message costs its reader no
 * more than the largest task has pieces.
 */
export function* piecesOf(bitmap: swarm.PieceBitmap | undefined): Generator<number, void, undefined> {
  let next = 0;
  for (const { first, count, bits } of bitmap?.runs ?? []) {
    const end = first + (bits.length > 0 ? bits.length * 8 : count);
    if (first < next || end > MAX_PIECE_COUNT + 7) return;
    next = end;
    if (bits.length === 0) for (let number = first; number < end; number++) yield number;
    for (const [index, byte] of bits.entries())
      for (let rest = byte; rest !== 0; rest &= rest - 1) yield first + index * 8 + (31 - Math.clz32(rest & -rest));
  }
}

/** @returns pairs of the first number and the one after the last */
function* neighbours(pieceNumbers: Iterable<number>): Generator<[number, number], void, undefined> {
  let run: [number, number] | undefined;
  for (const number of pieceNumbers) {
    if (run !== undefined && number === run[1]) run[1]++;
    else {
      if (run !== undefined) yield run;
      run = [number, number + 1];
    }
  }
  if (run !== undefined) yield run;
}

function packed(first: number, pieceNumbers: readonly number[]): Uint8Array<ArrayBuffer> {
  const last = pieceNumbers.at(-1) ?? first;
  const bytes = new Uint8Array(((last - first) >>> 3) + 1);
  for (const number of pieceNumbers) {
    const at = (number - first) >>> 3;
    bytes[at] = (bytes[at] ?? 0) | (1 << ((number - first) & 7));
  }
  return bytes;
}

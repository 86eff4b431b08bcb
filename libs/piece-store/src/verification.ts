import { crc32 } from 'node:zlib';
import { pieceDigest, pieceRange } from '@d7y/piece';
import { ContentLostError } from './errors.ts';
import type { DiskTask } from './disk-task.ts';
import type { Pace } from './pace.ts';

const READ_BYTES = 2 ** 20;

/**
 * Compares every finished piece with its CRC and discards those that differ: what a machine that lost power makes of bytes that
 * were written but never synced is anybody's guess.
 * @param pace is waited for between pieces
 * @returns numbers of the pieces that were discarded
 */
export async function verifyTask(task: DiskTask, pace: Pace): Promise<number[]> {
  using _held = task.hold();
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const wrong: number[] = [];
  for (const number of [...task.finishedPieces]) {
    await pace.turn();
    if ((await digestOf(task, number, buffer)) !== task.piece(number)?.digest) wrong.push(number);
  }
  task.discardPieces(wrong);
  task.trust();
  return wrong;
}

/** Digest of a piece as it is on disk; undefined when not all of it is. */
async function digestOf(task: DiskTask, number: number, buffer: Buffer): Promise<string | undefined> {
  const { start, length } = pieceRange(task.layout, number);
  let crc = 0;
  for (let done = 0; done < length;) {
    const target = buffer.subarray(0, Math.min(buffer.length, length - done));
    try {
      const count = await task.read(start + done, target);
      crc = crc32(target.subarray(0, count), crc);
      done += count;
    } catch (error) {
      if (error instanceof ContentLostError) return undefined;
      throw error;
    }
  }
  return pieceDigest(crc);
}

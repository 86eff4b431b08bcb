import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { NewTask } from '@d7y/peer-engine';
import type { PieceRecord } from '@d7y/piece';
import { createLayout, MAX_PIECE_COUNT, MAX_PIECE_LENGTH, pieceDigest, pieceRange } from '@d7y/piece';
import type { Pace } from './pace.ts';

const READ_BYTES = 2 ** 20;
/** Manifests are no larger than this. */
const MANIFEST_BYTES = 4 * 2 ** 20;
const BLOB_TYPE = 'application/octet-stream';

/** A task proved by its content alone. */
export interface RecoveredTask {
  readonly task: NewTask;
  readonly pieces: readonly PieceRecord[];
}

/**
 * Reads a content file whose records were lost. Where the name of the file, which is the id of the task, is the SHA-256 of its bytes, the task
 * is whole, and its pieces follow from its length: such ids always have the standard piece grid.
 *
 * What cannot be known is taken for the worse: the content counts as private, so that the origin is asked before anybody gets it, and
 * content that may be a manifest without saying of which type is not recovered.
 * @param now Unix time in ms
 * @returns undefined when the bytes do not prove anything
 */
export async function recoverTask(
  path: string,
  taskId: string,
  now: number,
  pace: Pace,
): Promise<RecoveredTask | undefined> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  if (size > MAX_PIECE_COUNT * MAX_PIECE_LENGTH) return undefined;
  const layout = createLayout(size);
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const hash = createHash('sha256');
  const pieces: PieceRecord[] = [];
  for (let number = 0; number < layout.pieceCount; number++) {
    await pace.turn();
    const { start, length } = pieceRange(layout, number);
    let crc = 0;
    for (let done = 0; done < length;) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, length - done), start + done);
      if (bytesRead === 0) return undefined;
      const bytes = buffer.subarray(0, bytesRead);
      crc = crc32(bytes, crc);
      hash.update(bytes);
      done += bytesRead;
    }
    const facts = { number, offset: start, length, digest: pieceDigest(crc), costMs: 0, createdAtMs: now };
    // Once the whole has matched, and nothing is returned before, all of its pieces have.
    pieces.push({ ...facts, trafficType: 'localPeer', isVerified: true });
  }
  const contentType = hash.digest('hex') === taskId ? await contentTypeOf(file, size) : undefined;
  if (contentType === undefined) return undefined;
  const digest = `sha256:${taskId}`;
  const responseHeaders = { 'content-type': contentType };
  return { task: { taskId, url: '', layout, digest, responseHeaders, isPrivate: true }, pieces };
}

/** @returns undefined for what looks like a manifest and does not say of which type */
async function contentTypeOf(file: FileHandle, size: number): Promise<string | undefined> {
  if (size > MANIFEST_BYTES) return BLOB_TYPE;
  const bytes = Buffer.alloc(size);
  await file.read(bytes, 0, size, 0);
  if (bytes[0] !== '{'.charCodeAt(0)) return BLOB_TYPE;
  try {
    const { schemaVersion, mediaType } = JSON.parse(bytes.toString()) as Record<string, unknown>;
    if (schemaVersion === undefined) return BLOB_TYPE;
    return typeof mediaType === 'string' && /^[\w.+/-]+$/.test(mediaType) ? mediaType : undefined;
  } catch {
    return BLOB_TYPE;
  }
}

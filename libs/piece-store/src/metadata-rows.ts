import type { PieceRecord, TaskLayout, TrafficType } from '@d7y/piece';
import { createLayout, MAX_PIECE_COUNT, pieceRange } from '@d7y/piece';
import type { TaskRow } from './metadata.ts';
import { isTaskId } from './store-paths.ts';

type Row = Readonly<Record<string, unknown>>;

/** Stored by position: append only. */
export const TRAFFIC_TYPES: readonly TrafficType[] = ['backToSource', 'remotePeer', 'localPeer'];

/**
 * @param nowMs no use is later than this
 * @returns the task, or in words why the row is none
 */
export function decodeTask(row: Row, nowMs: number): TaskRow | string {
  const { key, id, digest } = row;
  const contentLength = count(row['content_length']);
  const pieceLength = count(row['piece_length']);
  const createdAtMs = count(row['created_at_ms']);
  // The clock may have been before 1970 for a while.
  const usedAtMs = count(Math.max(0, Number(row['used_at_ms'])));
  if (typeof key !== 'number' || typeof id !== 'string' || !isTaskId(id)) return 'its id is none';
  if (row['has_url'] !== 1 || (digest !== null && typeof digest !== 'string')) return 'its description is damaged';
  if (contentLength === undefined || !pieceLength || contentLength > pieceLength * MAX_PIECE_COUNT)
    return 'its lengths are damaged';
  if (createdAtMs === undefined || usedAtMs === undefined) return 'its times are damaged';
  if (row['has_headers'] !== 1) return 'its headers are damaged';
  return {
    key,
    taskId: id,
    layout: createLayout(contentLength, pieceLength),
    digest: digest ?? undefined,
    isPrivate: row['is_private'] !== 0,
    createdAtMs,
    usedAtMs: Math.min(usedAtMs, nowMs),
    isComplete: row['is_complete'] === 1,
    isPinned: row['is_pinned'] === 1,
    isSuspect: row['is_suspect'] !== 0,
  };
}

/** @returns the piece, or in words why the row is none */
export function decodePiece(row: Row, layout: TaskLayout): PieceRecord | string {
  const { digest, sha256, parent_id: parentId } = row;
  const number = count(row['number']);
  const trafficType = TRAFFIC_TYPES[count(row['traffic_type']) ?? -1];
  const costMs = count(row['cost_ms']);
  const createdAtMs = count(row['created_at_ms']);
  if (number === undefined || number >= layout.pieceCount) return 'it has a piece that cannot exist';
  if (typeof digest !== 'string' || !/^crc32:\d{1,10}$/.test(digest)) return `the digest of piece ${number} is damaged`;
  if (sha256 !== null && (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)))
    return `the SHA-256 of piece ${number} is damaged`;
  if (trafficType === undefined || costMs === undefined || createdAtMs === undefined)
    return `piece ${number} is damaged`;
  if (parentId !== null && typeof parentId !== 'string') return `piece ${number} is damaged`;
  const { start, length } = pieceRange(layout, number);
  return {
    number,
    offset: start,
    length,
    digest,
    ...(parentId !== null && { parentId }),
    trafficType,
    costMs,
    createdAtMs,
    ...(sha256 !== null && { sha256 }),
    isVerified: row['is_verified'] === 1,
  };
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** @returns what can be understood of them */
export function decodeHeaders(text: string): Record<string, string> {
  const headers: unknown = JSON.parse(text);
  if (typeof headers !== 'object' || headers === null) return {};
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => typeof value === 'string'));
}

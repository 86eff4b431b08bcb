import { NoSpaceError } from '@d7y/peer-engine';

const SQLITE_FULL = 13;

/** Whether an error says that the disk, or a quota on it, is full. */
export function isDiskFull(error: unknown): boolean {
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown };
  return code === 'ENOSPC' || code === 'EDQUOT' || errcode === SQLITE_FULL;
}

/** Says "disk full" in the words of the port; every other error stays as it is. */
export function translateDiskFull(error: unknown, path: string, wantedBytes: number): Error {
  if (isDiskFull(error)) return new NoSpaceError(path, wantedBytes, undefined, { cause: error });
  return error instanceof Error ? error : new Error(String(error));
}

import type { PieceRecord } from '@d7y/piece';
import type { StoredTask } from './ports/task-store.ts';

/**
 * Whether other daemons may have the piece. With a known digest: once it is verified, or the whole has matched. Without one nothing can be
 * verified, and a piece counts as soon as it is here.
 */
export function mayBeOffered(stored: StoredTask, { isVerified }: PieceRecord): boolean {
  return isVerified || stored.isComplete || stored.digest === undefined;
}

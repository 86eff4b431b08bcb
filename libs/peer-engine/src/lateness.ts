/** When a piece under way counts as late. */
export interface LatePolicy {
  /** Longest time for the first byte, in ms; over this time, too, the floor is measured. */
  readonly silenceMs: number;
  /** Slower than this is late whatever others do. */
  readonly floorBytesPerSec: number;
}

export const DEFAULT_LATE_POLICY: LatePolicy = { silenceMs: 1_500, floorBytesPerSec: 64 * 1024 };

/** A transfer as it stands; times without waits of our own. */
export interface TransferState {
  readonly lengthBytes: number;
  readonly bytes: number;
  readonly elapsedMs: number;
  /** Of late. */
  readonly bytesPerSec: number;
}

/** While pieces are left that nobody was asked for, a transfer may take so many times as long as others. */
const PATIENCE = 4;
/** At the end, when all others are done or under way. */
const ENDGAME_PATIENCE = 2;
/** Shorter than this nothing is late, in ms: the jitter of a busy machine. */
const GRACE_MS = 500;
const ENDGAME_GRACE_MS = 50;

/** How long a transfer still takes at its rate of late, in ms; endless when nothing comes. */
export function remainingMs({ lengthBytes, bytes, bytesPerSec }: TransferState): number {
  return bytes >= lengthBytes ? 0 : ((lengthBytes - bytes) * 1000) / bytesPerSec;
}

/**
 * Whether a piece should be asked of somebody else as well: nothing has come for too long, it comes more slowly than the floor, or it will
 * take several times as long as others take.
 * @param typicalBytesPerSec what a transfer of others brings; undefined while nobody knows
 * @param isEndgame nothing else is left to ask for: the last pieces decide when the whole is done
 */
export function isLate(
  transfer: TransferState,
  typicalBytesPerSec: number | undefined,
  isEndgame: boolean,
  { silenceMs, floorBytesPerSec }: LatePolicy,
): boolean {
  const { elapsedMs, bytesPerSec, lengthBytes, bytes } = transfer;
  if (bytes >= lengthBytes) return false;
  if (elapsedMs >= silenceMs && bytesPerSec < floorBytesPerSec) return true;
  if (typicalBytesPerSec === undefined) return false;
  const typicalMs = (lengthBytes * 1000) / typicalBytesPerSec;
  const [patience, graceMs] = isEndgame ? [ENDGAME_PATIENCE, ENDGAME_GRACE_MS] : [PATIENCE, GRACE_MS];
  return elapsedMs > typicalMs * patience + graceMs && remainingMs(transfer) > typicalMs * patience;
}

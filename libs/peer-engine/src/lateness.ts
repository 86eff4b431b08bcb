/** When a piece under way counts as late. */
export interface LatePolicy {
  /** Longest time for the first byte, in ms; over this time, too, the floor is measured. */
  readonly silenceMs: number;
  /** The same before the origin is asked for what a parent does not bring: a busy machine must not make it send its bytes twice. */
  readonly originSilenceMs: number;
  /** Slower than this is late whatever others do. */
  readonly floorBytesPerSec: number;
}

export const DEFAULT_LATE_POLICY: LatePolicy = {
  silenceMs: 1_500,
  originSilenceMs: 5_000,
  floorBytesPerSec: 64 * 1024,
};

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

/** Whether next to nothing comes: nothing for too long, or less than the floor. Only this is worth a second fetch from the origin. */
export function isStuck(
  { elapsedMs, bytesPerSec, lengthBytes, bytes }: TransferState,
  { silenceMs, floorBytesPerSec }: Pick<LatePolicy, 'silenceMs' | 'floorBytesPerSec'>,
): boolean {
  return bytes < lengthBytes && elapsedMs >= silenceMs && bytesPerSec < floorBytesPerSec;
}

/**
 * A host that serves other requests of ours is given so much more time for one of them, in ms: as long as children wait for a piece server. Its
 * slots are few, and our requests may be those of a hundred tasks.
 */
const BUSY_MS = 360_000;

/**
 * How much of a silence counts, in ms: as long as the host sends us other things only what goes beyond the time in which a turn comes.
 * @param fedMs time since the host was last seen sending us anything
 */
export function silenceOf(silentMs: number, fedMs: number): number {
  return Math.min(silentMs, Math.max(fedMs, silentMs - BUSY_MS));
}

/** Long enough for a connection, an answer, and the piece at the floor: whatever a transfer waits for, its own bounds should have ended it. */
const OVERDUE_MS = 60_000;

/** Whether a transfer has outlived every bound that it has of its own: a fault of ours, and it must not hold its piece for ever. */
export function isOverdue(
  { elapsedMs, lengthBytes }: Pick<TransferState, 'elapsedMs' | 'lengthBytes'>,
  { floorBytesPerSec }: Pick<LatePolicy, 'floorBytesPerSec'>,
): boolean {
  return elapsedMs > OVERDUE_MS + (lengthBytes * 1000) / floorBytesPerSec;
}

/**
 * Whether a piece should be asked of another parent as well: it is stuck, or will take several times as long as others take.
 * @param typicalBytesPerSec what a transfer of others brings; undefined while nobody knows
 * @param isEndgame nothing else is left to ask for: the last pieces decide when the whole is done
 */
export function isLate(
  transfer: TransferState,
  typicalBytesPerSec: number | undefined,
  isEndgame: boolean,
  policy: LatePolicy,
): boolean {
  if (isStuck(transfer, policy)) return true;
  const { elapsedMs, lengthBytes, bytes } = transfer;
  if (bytes >= lengthBytes || typicalBytesPerSec === undefined) return false;
  const typicalMs = (lengthBytes * 1000) / typicalBytesPerSec;
  const [patience, graceMs] = isEndgame ? [ENDGAME_PATIENCE, ENDGAME_GRACE_MS] : [PATIENCE, GRACE_MS];
  return elapsedMs > typicalMs * patience + graceMs && remainingMs(transfer) > typicalMs * patience + graceMs;
}

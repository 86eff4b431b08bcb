/** When the process began to count, by the system's clock. */
const ORIGIN_MS = Date.now() - performance.now();

/**
 * Unix time in whole ms that never jumps: what the system's clock said at the beginning, and the time that has passed since. A clock that
 * is set while we run would make all tasks look used just now, or not for years.
 */
export function steadyClock(): number {
  return Math.round(ORIGIN_MS + performance.now());
}

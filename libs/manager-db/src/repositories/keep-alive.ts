/** Missed messages after which somebody counts as gone. */
const INTERVALS = 3;

/** Until when somebody counts as active who kept himself alive now. */
export function activeUntil(now: Date, intervalMs: number): Date {
  return new Date(now.getTime() + INTERVALS * intervalMs);
}

/** Whether somebody is active: that is never stored, so that it is right also when nobody is there to write it. */
export function isActive(row: { readonly activeUntil: Date | null }, now: Date): boolean {
  return row.activeUntil !== null && row.activeUntil > now;
}

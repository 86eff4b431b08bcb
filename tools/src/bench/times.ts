/** How long questions took that were asked of one program. */
export interface Times {
  /** All together. */
  readonly tookMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** @param each how long each took, in ms */
export function timesOf(each: readonly number[], tookMs: number): Times {
  const sorted = each.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { tookMs, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: sorted.at(-1) ?? NaN };
}

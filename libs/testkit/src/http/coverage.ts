/** Bytes `start` to `end` (exclusive) of one resource, each sent `times` times. */
export interface CoveredRange {
  readonly start: number;
  readonly end: number;
  readonly times: number;
}

/** How often each byte of a resource left the server. */
export interface Coverage {
  /** In ascending order, without gaps from 0 to the resource's length; neighbours differ in `times`. */
  readonly ranges: readonly CoveredRange[];
  /** How often the least sent byte was sent: 0 when one is missing. */
  readonly minTimes: number;
  readonly maxTimes: number;
  /** Bytes sent in all. */
  readonly sentBytes: number;
  /** Bytes sent more often than once, the first time not counted. */
  readonly repeatedBytes: number;
}

/** A stretch of bytes that one answer carried. */
export interface SentSpan {
  readonly start: number;
  readonly length: number;
}

/**
 * Lays answers over a resource of `totalBytes`; what they claim to carry beyond its end is counted too, so that a wrong length shows.
 */
export function coverageOf(spans: Iterable<SentSpan>, totalBytes: number): Coverage {
  const steps = new Map<number, number>([
    [0, 0],
    [totalBytes, 0],
  ]);
  const step = (at: number, change: number) => steps.set(at, (steps.get(at) ?? 0) + change);
  let sentBytes = 0;
  for (const { start, length } of spans) {
    if (length === 0) continue;
    sentBytes += length;
    step(start, 1);
    step(start + length, -1);
  }
  const ranges: CoveredRange[] = [];
  let times = 0;
  let from: number | undefined;
  for (const at of [...steps.keys()].sort((a, b) => a - b)) {
    if (from !== undefined && at > from) {
      const last = ranges.at(-1);
      if (last?.times === times) ranges[ranges.length - 1] = { ...last, end: at };
      else ranges.push({ start: from, end: at, times });
    }
    times += steps.get(at) ?? 0;
    from = at;
  }
  const counts = ranges.map((range) => range.times);
  return {
    ranges,
    minTimes: counts.length === 0 ? 0 : Math.min(...counts),
    maxTimes: counts.length === 0 ? 0 : Math.max(...counts),
    sentBytes,
    repeatedBytes: ranges.reduce((sum, { start, end, times: sent }) => sum + (end - start) * Math.max(0, sent - 1), 0),
  };
}

import { statfs } from 'node:fs/promises';
import type { Comparison, Transfer } from './interleave.ts';
import { rateOf } from './interleave.ts';

/** Files live here: a disk would be measured instead of the programs. */
export const MEMORY_DIR = '/dev/shm';

/**
 * Checks that there is room for the files of a benchmark.
 * @throws when there is not
 */
export async function requireMemory(bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(MEMORY_DIR);
  const gibibytes = (value: number) => (value / 2 ** 30).toFixed(1);
  if (bavail * bsize < bytes) {
    throw new Error(
      `${MEMORY_DIR} has ${gibibytes(bavail * bsize)} GiB left of the ${gibibytes(bytes)} GiB needed: use --size-mib`,
    );
  }
}

/** Tells a person how far it has come, on standard error. */
export interface Progress {
  (text: string): void;
  readonly pair: (run: number, ours: Transfer, theirs: Transfer) => void;
}

export interface BenchOptions {
  /** Pairs that count. */
  readonly runs: number;
  readonly sizeBytes: number;
  readonly progress: Progress;
}

/** What one benchmark found. */
export interface Measurement {
  readonly name: string;
  readonly comparison: Comparison;
  readonly sizeBytes: number;
  /** Since each process started. */
  readonly peakRssBytes: Readonly<Record<string, number>>;
}

/** The measurement as one line of JSON; fractions are rounded to what they can mean. */
export function toJsonLine({ name, comparison, sizeBytes, peakRssBytes }: Measurement): string {
  const { ratio, runs, ours, theirs } = comparison;
  const line = {
    name,
    value: ratio.median,
    unit: 'ratio',
    spread: [ratio.min, ratio.max],
    runs,
    sizeBytes,
    baseline: 'nginx + curl',
    mibPerSec: ours.rate,
    baselineMibPerSec: theirs.rate,
    cpuSecondsPerGib: ours.cpuSecondsPerGib,
    baselineCpuSecondsPerGib: theirs.cpuSecondsPerGib,
    peakRssBytes,
  };
  return JSON.stringify(line, (_key, value: unknown) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value,
  );
}

/** The same for a person. */
export function toText({ name, comparison, sizeBytes, peakRssBytes }: Measurement): string {
  const { ratio, runs, ours, theirs } = comparison;
  const list = (record: Readonly<Record<string, number>>, format: (value: number) => string) => {
    const parts = Object.entries(record).map(([side, value]) => `${side} ${format(value)}`);
    return parts.join(', ');
  };
  const seconds = (value: number) => value.toFixed(2);
  const spread = `${ratio.min.toFixed(3)} to ${ratio.max.toFixed(3)}`;
  return [
    `${name}: ${ratio.median.toFixed(3)} of nginx + curl (${spread}, ${runs} pairs of ${sizeBytes / 2 ** 20} MiB)`,
    `  MiB/s                   ${ours.rate.median.toFixed(0)} against ${theirs.rate.median.toFixed(0)}`,
    `  CPU seconds per GiB     ${list(ours.cpuSecondsPerGib, seconds)}; ${list(theirs.cpuSecondsPerGib, seconds)}`,
    `  peak resident memory    ${list(peakRssBytes, (value) => `${(value / 2 ** 20).toFixed(0)} MiB`)}`,
  ].join('\n');
}

/** Writes progress to standard error. */
export function progressTo(write: (line: string) => void): Progress {
  const rate = (transfer: Transfer) => `${rateOf(transfer).toFixed(0)} MiB/s`;
  return Object.assign((text: string) => write(text), {
    pair: (run: number, ours: Transfer, theirs: Transfer) =>
      write(`${run === 0 ? 'warm-up' : `pair ${run}`}: ${rate(ours)}, nginx + curl ${rate(theirs)}`),
  });
}

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

export const PROTOCOLS = ['stock', 'own'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

export interface BenchOptions {
  /** Pairs that count. */
  readonly runs: number;
  readonly sizeBytes: number;
  /** Blobs at once, and how many times, where memory is measured. */
  readonly blobCount: number;
  readonly rounds: number;
  /** Daemons that a scheduler serves. */
  readonly hosts: number | undefined;
  /** How they register: over AnnouncePeer, or over the stream of our own daemons; both, if it does not say. */
  readonly protocol: Protocol | undefined;
  readonly progress: Progress;
  /** Of the benchmarks in a network lab. */
  readonly lab: {
    readonly mbitPerSec: number | undefined;
    /** Of the blob, or of all layers; each benchmark has a default of its own. */
    readonly blobBytes: number | undefined;
    readonly killScheduler: boolean;
    /** Daemons offer each other turns. */
    readonly turns: boolean;
  };
}

/** What a value is held against. `must` below `aim` means that more is better, `must` above it that less is. */
export interface Target {
  readonly must: number;
  readonly aim: number;
}

/** One number that a benchmark found. */
export interface Measurement {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly target: Target;
  /** Goes into the line of JSON after the value. */
  readonly details: Readonly<Record<string, unknown>>;
  /** The details for a person, a line each. */
  readonly text?: readonly string[];
}

/** The value is as good as it must be. Where `must` and `aim` are equal, only that very value or a lower one is. */
export function isMet(value: number, { must, aim }: Target): boolean {
  return aim > must ? value >= must : value <= must;
}

/** What is known of a comparison with nginx and curl besides its ratio. */
export interface ComparisonFacts {
  readonly comparison: Comparison;
  readonly sizeBytes: number;
  /** Since each process started. */
  readonly peakRssBytes: Readonly<Record<string, number>>;
}

/** The pace of a comparison: ours to that of nginx and curl. */
export function ratioOf(name: string, facts: ComparisonFacts, target: Target): Measurement {
  const { ratio, runs, ours, theirs } = facts.comparison;
  const seconds = (value: number) => value.toFixed(2);
  const spread = `${ratio.min.toFixed(3)} to ${ratio.max.toFixed(3)}`;
  return {
    name,
    value: ratio.median,
    unit: 'ratio',
    target,
    details: {
      spread: [ratio.min, ratio.max],
      runs,
      sizeBytes: facts.sizeBytes,
      baseline: 'nginx + curl',
      mibPerSec: ours.rate,
      baselineMibPerSec: theirs.rate,
      cpuSecondsPerGib: ours.cpuSecondsPerGib,
      baselineCpuSecondsPerGib: theirs.cpuSecondsPerGib,
      peakRssBytes: facts.peakRssBytes,
    },
    text: [
      `of nginx + curl         ${spread}, ${runs} pairs of ${facts.sizeBytes / 2 ** 20} MiB`,
      `MiB/s                   ${ours.rate.median.toFixed(0)} against ${theirs.rate.median.toFixed(0)}`,
      `CPU seconds per GiB     ${listed(ours.cpuSecondsPerGib, seconds)}; ${listed(theirs.cpuSecondsPerGib, seconds)}`,
      `peak resident memory    ${listed(facts.peakRssBytes, (value) => `${(value / 2 ** 20).toFixed(0)} MiB`)}`,
    ],
  };
}

/** The processor time of all our sides together. */
export function cpuOf(name: string, { comparison, sizeBytes }: ComparisonFacts, target: Target): Measurement {
  const { runs, ours } = comparison;
  const sides = ours.cpuSecondsPerGib;
  return {
    name,
    value: Object.values(sides).reduce((sum, seconds) => sum + seconds, 0),
    unit: 's/GiB',
    target,
    details: { ...sides, runs, sizeBytes },
  };
}

/** The measurement as one line of JSON; fractions are rounded to what they can mean. */
export function toJsonLine({ name, value, unit, target, details }: Measurement): string {
  const line = { name, value, unit, must: target.must, aim: target.aim, pass: isMet(value, target), ...details };
  return JSON.stringify(line, (_key, item: unknown) =>
    typeof item === 'number' && !Number.isInteger(item) ? Number(item.toPrecision(4)) : item,
  );
}

/** The same for a person. */
export function toText({ name, value, unit, target, text = [] }: Measurement): string {
  const verdict = isMet(value, target) ? 'met' : 'NOT met';
  const first = `${name}: ${Number(value.toPrecision(4))} ${unit} (must ${target.must}: ${verdict}; aim ${target.aim})`;
  return [first, ...text.map((line) => `  ${line}`)].join('\n');
}

function listed(record: Readonly<Record<string, number>>, format: (value: number) => string): string {
  return Object.entries(record)
    .map(([side, value]) => `${side} ${format(value)}`)
    .join(', ');
}

/** Writes progress to standard error. */
export function progressTo(write: (line: string) => void): Progress {
  const rate = (transfer: Transfer) => `${rateOf(transfer).toFixed(0)} MiB/s`;
  return Object.assign((text: string) => write(text), {
    pair: (run: number, ours: Transfer, theirs: Transfer) =>
      write(`${run === 0 ? 'warm-up' : `pair ${run}`}: ${rate(ours)}, nginx + curl ${rate(theirs)}`),
  });
}

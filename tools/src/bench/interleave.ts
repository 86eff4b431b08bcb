import { summarize, type Summary } from './statistics.ts';

/** One transfer. */
export interface Transfer {
  readonly bytes: number;
  readonly seconds: number;
  /** Processor time of each side. */
  readonly cpuSeconds: Readonly<Record<string, number>>;
}

/** All transfers of one kind. */
export interface Series {
  /** MiB per second. */
  readonly rate: Summary;
  readonly cpuSecondsPerGib: Readonly<Record<string, number>>;
}

/** Two kinds of transfers, measured in turns. */
export interface Comparison {
  /** Ours to theirs, per pair of neighbours in time: what slows the machine down slows both. */
  readonly ratio: Summary;
  readonly runs: number;
  readonly ours: Series;
  readonly theirs: Series;
}

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/**
 * Measures `runs` pairs, after one pair that does not count: programs that have just started are slow.
 * @param ours is given the number of its run, counted from 0 with the uncounted one
 */
export async function interleave(
  runs: number,
  ours: (run: number) => Promise<Transfer>,
  theirs: (run: number) => Promise<Transfer>,
  report: (run: number, ours: Transfer, theirs: Transfer) => void = () => undefined,
): Promise<Comparison> {
  const measured: { ours: Transfer; theirs: Transfer }[] = [];
  for (let run = 0; run <= runs; run++) {
    // Who goes first alternates, so that neither always finds the caches as the other left them.
    const pair =
      run % 2 === 0
        ? { ours: await ours(run), theirs: await theirs(run) }
        : await theirs(run).then(async (transfer) => ({ theirs: transfer, ours: await ours(run) }));
    report(run, pair.ours, pair.theirs);
    if (run > 0) measured.push(pair);
  }
  return {
    ratio: summarize(measured.map((pair) => rateOf(pair.ours) / rateOf(pair.theirs))),
    runs,
    ours: seriesOf(measured.map((pair) => pair.ours)),
    theirs: seriesOf(measured.map((pair) => pair.theirs)),
  };
}

/** MiB per second of one transfer. */
export function rateOf({ bytes, seconds }: Transfer): number {
  return bytes / MIB / seconds;
}

/** Processor time is summed before it is divided: one transfer is only some clock ticks long. */
function seriesOf(transfers: readonly Transfer[]): Series {
  const gibibytes = transfers.reduce((sum, { bytes }) => sum + bytes, 0) / GIB;
  const sides = Object.keys(transfers[0]?.cpuSeconds ?? {});
  return {
    rate: summarize(transfers.map(rateOf)),
    cpuSecondsPerGib: Object.fromEntries(
      sides.map((side) => [
        side,
        transfers.reduce((sum, { cpuSeconds }) => sum + (cpuSeconds[side] ?? 0), 0) / gibibytes,
      ]),
    ),
  };
}

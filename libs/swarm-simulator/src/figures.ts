import type { Outcome } from './outcome.ts';
import type { ScenarioName, Settings } from './settings.ts';

/** One result, with what it must be and should be where that is said. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** At most this, or between these. */
  readonly must: number | readonly [number, number] | undefined;
  readonly aim: number | undefined;
  readonly pass: boolean | undefined;
}

/** What a scenario is to be compared with: the same swarm to which nothing happens. */
export interface Comparison {
  /** Last of the normal peers, in ms. */
  readonly undisturbedMs: number;
}

const figure = (name: string, value: number, unit: string, must?: Figure['must'], aim?: number): Figure => {
  const rounded = Number.isFinite(value) ? Math.round(value * 10_000) / 10_000 : value;
  const isWithin =
    typeof must === 'number' ? rounded <= must : must === undefined || (rounded >= must[0] && rounded <= must[1]);
  return { name, value: rounded, unit, must, aim, pass: must === undefined ? undefined : isWithin };
};

/** The time by which this part of the values was reached. @param sorted ascending */
const quantile = (sorted: Float64Array, part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;

/** Completion times of the hosts that share and send at the full rate, ascending, in ms. */
export function normalTimesMs({ hostMs, isNormal }: Outcome): Float64Array {
  return hostMs.filter((_, host) => isNormal[host] === 1).sort();
}

/** @param runtimeSeconds processor time of the run */
export function figuresOf(
  settings: Settings,
  outcome: Outcome,
  runtimeSeconds: number,
  comparison?: Comparison,
): readonly Figure[] {
  const { scenario, policy, peers, pieces, tasks, pieceBytes, zones, warmShare } = settings;
  const times = normalTimesMs(outcome);
  const contentBytes = pieces * pieceBytes;
  const isBurst = scenario === 'burst';
  const isMesh = policy === 'mesh';
  const [last, median] = bounds(scenario, isMesh, peers);
  const mostOrigin = scenario === 'seed-death' ? 1.1 : warmShare > 0 ? 0 : 1;
  const figures = [
    figure('makespan', quantile(times, 1) / outcome.optimumMs, 'T*', last?.must, last?.aim),
    figure('median', quantile(times, 0.5) / outcome.optimumMs, 'T*', median?.must, median?.aim),
    figure('p99', quantile(times, 0.99) / outcome.optimumMs, 'T*'),
    figure('origin', outcome.originBytes / (contentBytes * tasks), 'content', isMesh ? mostOrigin : undefined),
    ...(zones > 1
      ? [
          figure(
            'crossZone',
            outcome.crossZoneBytes / (zones * contentBytes * tasks),
            'zones × content',
            isMesh && zones === 10 ? 1.5 : undefined,
            isMesh && zones === 10 ? 1.1 : undefined,
          ),
        ]
      : []),
    ...(comparison === undefined
      ? []
      : [
          figure(
            'disturbance',
            quantile(times, 1) / comparison.undisturbedMs,
            'undisturbed',
            isMesh ? 1.5 : undefined,
            isMesh ? 1.3 : undefined,
          ),
        ]),
    figure('cpuPerRegistration', (outcome.schedulerCpuMs * 1000) / Math.max(outcome.registrations, 1), 'µs'),
    figure('messagesPerPiece', outcome.schedulerMessages / Math.max(outcome.piecesDelivered, 1), 'messages'),
    figure(
      'runtime',
      runtimeSeconds,
      's',
      isBurst && peers === 100_000 ? 240 : undefined,
      isBurst && peers === 100_000 ? 90 : undefined,
    ),
  ];
  return figures;
}

interface Bound {
  readonly must: Figure['must'];
  readonly aim: number | undefined;
}

/** What the last and the median must be. */
function bounds(scenario: ScenarioName, isMesh: boolean, peers: number): readonly [Bound?, Bound?] {
  // The published models of the published policy, too, let everybody have parents before the first byte.
  if (!isMesh) return scenario === 'assembled' ? [{ must: [2.8, 3.9], aim: undefined }] : [];
  if (scenario !== 'burst') return [];
  if (peers === 100_000) return [{ must: 1.3, aim: 1.15 }];
  if (peers !== 10_000) return [];
  return [
    { must: 1.15, aim: 1.09 },
    { must: 1.1, aim: 1.06 },
  ];
}

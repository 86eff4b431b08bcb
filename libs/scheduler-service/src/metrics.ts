import { common } from '@d7y/api';
import { SketchedSummary, TalliedCounter } from '@d7y/service-kit';
import type { PeerView, Priority, Swarm } from '@d7y/swarm';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import { VERSION } from './version.ts';

const PREFIX = 'dragonfly_scheduler_';
const PEER_LABELS = ['priority', 'task_type', 'host_type'] as const;
const PIECE_LABELS = ['traffic_type', 'task_type', 'host_type'] as const;
const HOST_LABELS = [
  'os',
  'platform',
  'platform_family',
  'platform_version',
  'kernel_version',
  'git_version',
  'git_commit',
  'go_version',
  'build_platform',
] as const;
const FAMILIES = ['persistent', 'persistent_cache'] as const;
const NEVER_COUNTED: readonly string[] = [
  'exchange_peer',
  ...FAMILIES.flatMap((family) => [
    ...['announce', 'stat', 'delete'].map((verb) => `${verb}_${family}_peer`),
    ...['started', 'finished'].map((end) => `upload_${family}_task_${end}`),
    ...['stat', 'delete'].map((verb) => `${verb}_${family}_task`),
  ]),
];
const NEVER_COUNTED_BY_HOST: readonly string[] = FAMILIES.flatMap((family) => [
  `register_${family}_peer`,
  `download_${family}_peer_started`,
  `download_${family}_peer_finished`,
  `download_${family}_piece_finished`,
]);
/** Published so, attempts and failures under names that do not belong together. */
const NEVER_COUNTED_ONCE = [
  'upload_persistent_task_failed_total',
  'upload_peer_failed_failure_total',
  'upload_persistent_cache_task_failed_total',
  'upload_cache_peer_failed_failure_total',
];
const PERCENTILES = [0.5, 0.9, 0.95, 0.99];
const GIB = 2 ** 30;
const MIB = 2 ** 20;
const TIB = 2 ** 40;

/** Attempts and failures of one operation, under the published names `<name>_total` and `<name>_failure_total`. */
export interface OperationCounter<Label extends string> {
  attempt(labels?: Readonly<Partial<Record<Label, string>>>, count?: number): void;
  failure(labels?: Readonly<Partial<Record<Label, string>>>): void;
}

export type SchedulerMetrics = ReturnType<typeof createSchedulerMetrics>;

/** The counters of a scheduler under their published names. @param perHost count the traffic of every host by itself */
export function createSchedulerMetrics(registry: Registry, { perHost }: { perHost: boolean }) {
  const registers = [registry];
  const operation = <Label extends string = never>(
    name: string,
    labelNames: readonly Label[] = [],
  ): OperationCounter<Label> => {
    const attempts = new Counter({ name: `${PREFIX}${name}_total`, help: `${name}: attempts`, labelNames, registers });
    const failures = new Counter({
      name: `${PREFIX}${name}_failure_total`,
      help: `${name}: failures`,
      labelNames,
      registers,
    });
    return {
      attempt: (labels, count = 1) => (labels === undefined ? attempts.inc(count) : attempts.inc(labels, count)),
      failure: (labels) => (labels === undefined ? failures.inc() : failures.inc(labels)),
    };
  };
  const frequent = <Label extends string>(name: string, labelNames: readonly Label[]): OperationCounter<Label> => {
    const counter = (which: string, help: string) =>
      talliedBySet<Label>(
        new TalliedCounter({ name: `${PREFIX}${name}${which}_total`, help: `${name}: ${help}`, labelNames, registers }),
      );
    return { attempt: counter('', 'attempts'), failure: counter('_failure', 'failures') };
  };
  // Known to dashboards elsewhere; what they count is not offered here, so they stay at nothing.
  for (const name of NEVER_COUNTED) operation(name);
  for (const name of NEVER_COUNTED_BY_HOST) operation(name, ['host_type']);
  for (const name of NEVER_COUNTED_ONCE) new Counter({ name: `${PREFIX}${name}`, help: name, registers });
  new Counter({
    name: `${PREFIX}download_piece_back_to_source_finished_failure_total`,
    help: 'never counted: failures at the origin are in download_piece_finished_failure_total',
    labelNames: PIECE_LABELS,
    registers,
  });
  const traffic = talliedBySet(
    new TalliedCounter({
      name: `${PREFIX}traffic`,
      help: 'bytes of finished pieces',
      labelNames: ['type', 'task_type', 'host_type'],
      registers,
    }),
  );
  const hostTraffic = new Counter({
    name: `${PREFIX}host_traffic`,
    help: 'bytes of finished pieces, by host',
    labelNames: ['type', 'task_type', 'host_type', 'host_id', 'host_ip', 'host_name'],
    registers: perHost ? registers : [],
  });
  return {
    announcePeer: frequent('announce_peer', []),
    statPeer: operation('stat_peer'),
    leavePeer: operation('leave_peer'),
    statTask: operation('stat_task'),
    leaveTask: operation('leave_task'),
    listHosts: operation('list_hosts'),
    leaveHost: operation('leave_host'),
    preheatImage: operation('preheat_image'),
    statImage: operation('stat_image'),
    preheatFile: operation('preheat_file'),
    statFile: operation('stat_file'),
    preheatTasks: operation('preheat_task'),
    announceHost: operation('announce_host', HOST_LABELS),
    registerPeer: frequent('register_peer', PEER_LABELS),
    peerStarted: frequent('download_peer_started', PEER_LABELS),
    backToSourceStarted: frequent('download_peer_back_to_source_started', PEER_LABELS),
    peerFinished: frequent('download_peer_finished', PEER_LABELS),
    backToSourceFinishedFailure: new Counter({
      name: `${PREFIX}download_peer_back_to_source_finished_failure_total`,
      help: 'downloads from the origin that failed',
      labelNames: PEER_LABELS,
      registers,
    }),
    pieceFinished: frequent('download_piece_finished', PIECE_LABELS),
    pieceCostSeconds: new Histogram({
      name: `${PREFIX}download_piece_cost_seconds`,
      help: 'how long pieces took',
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    }),
    downloadMilliseconds: new SketchedSummary({
      name: `${PREFIX}download_peer_duration_milliseconds`,
      help: 'how long downloads took, by size class of the task',
      labelNames: ['task_size_level'],
      percentiles: PERCENTILES,
      registers,
    }),
    scheduleMilliseconds: new SketchedSummary({
      name: `${PREFIX}schedule_duration_milliseconds`,
      help: 'from the question for parents to its answer',
      percentiles: PERCENTILES,
      registers,
    }),
    openStreams: new Gauge({
      name: `${PREFIX}concurrent_schedule_total`,
      help: 'open announce-peer streams',
      registers,
    }),
    seedTriggers: operation('trigger_seed'),
    /** Counts the bytes of a piece where they went and, with `perHost`, where they came from. */
    countTraffic(
      type: TrafficLabel,
      bytes: number,
      child: PeerView,
      childName: string,
      parent?: { peer: PeerView; name: string },
    ) {
      traffic(TRAFFIC_LABEL_SETS[child.host.facts.kind][type], bytes);
      if (!perHost) return;
      const count = (direction: string, { host }: PeerView, host_name: string): void =>
        hostTraffic.inc(
          {
            type: direction,
            task_type: 'STANDARD',
            host_type: hostTypeOf(host.facts.kind),
            host_id: host.id,
            host_ip: host.facts.ip,
            host_name,
          },
          bytes,
        );
      count('download', child, childName);
      if (parent !== undefined) count('upload', parent.peer, parent.name);
    },
  };
}

/** Gauges that are read from the swarm whenever somebody looks. */
export function watchSwarm(registry: Registry, swarm: Swarm): void {
  new Gauge({
    name: `${PREFIX}download_peer_total`,
    help: 'peers by state',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const [state, count] of Object.entries(swarm.counts().peersByState)) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'dragonfly_peer_count',
    help: 'peers known to the scheduler',
    registers: [registry],
    collect() {
      this.set(swarm.peerCount);
    },
  });
  new Gauge({
    name: `${PREFIX}version`,
    help: 'always 1; the version is in the labels',
    labelNames: [
      'major',
      'minor',
      'git_version',
      'git_commit',
      'platform',
      'build_time',
      'go_version',
      'go_tags',
      'go_gcflags',
    ],
    registers: [registry],
  }).set(versionLabels(), 1);
}

function versionLabels() {
  const [major = '0', minor = '0'] = VERSION.split('.');
  const none = { git_commit: '', build_time: '', go_version: '', go_tags: '', go_gcflags: '' };
  return { ...none, major, minor, git_version: VERSION, platform: `${process.platform}/${process.arch}` };
}

/** Counts by sets of labels that are always the same objects, of which there are few. */
function talliedBySet<Label extends string>(
  counter: TalliedCounter<Label>,
): (labels?: Readonly<Partial<Record<Label, string>>>, count?: number) => void {
  const bySet = new Map<object | undefined, (count?: number) => void>();
  return (labels, count) => {
    let tally = bySet.get(labels);
    if (tally === undefined) bySet.set(labels, (tally = counter.tally(labels)));
    tally(count);
  };
}

const hostTypeOf = (kind: 'normal' | 'seed'): string => (kind === 'seed' ? 'super' : 'normal');

/** Where the bytes of pieces came from, under its published name. */
export type TrafficLabel = 'BACK_TO_SOURCE' | 'REMOTE_PEER' | 'LOCAL_PEER';

/** One object for each kind of host. */
const byKind = <T>(make: (host_type: string) => T): Readonly<Record<'normal' | 'seed', T>> => ({
  normal: make(hostTypeOf('normal')),
  seed: make(hostTypeOf('seed')),
});

const byTraffic = <T>(make: (traffic: TrafficLabel) => T): Readonly<Record<TrafficLabel, T>> => ({
  BACK_TO_SOURCE: make('BACK_TO_SOURCE'),
  REMOTE_PEER: make('REMOTE_PEER'),
  LOCAL_PEER: make('LOCAL_PEER'),
});

const task_type = 'STANDARD';
const PEER_LABEL_SETS = byKind((host_type) => {
  const at = (priority: Priority) => ({ priority: `LEVEL${priority}`, task_type, host_type });
  return { 0: at(0), 1: at(1), 2: at(2), 3: at(3), 4: at(4), 5: at(5), 6: at(6) } as const;
});
const PIECE_LABEL_SETS = byKind((host_type) => byTraffic((traffic_type) => ({ traffic_type, task_type, host_type })));
const TRAFFIC_LABEL_SETS = byKind((host_type) => byTraffic((type) => ({ type, task_type, host_type })));

/** The labels of a peer's counters. */
export const peerLabels = ({ priority, host }: Pick<PeerView, 'priority' | 'host'>) =>
  PEER_LABEL_SETS[host.facts.kind][priority];

/** The labels of the counters of a peer's pieces. */
export const pieceLabels = ({ host }: Pick<PeerView, 'host'>, traffic: TrafficLabel) =>
  PIECE_LABEL_SETS[host.facts.kind][traffic];

export const trafficLabel = (type: common.TrafficType): TrafficLabel =>
  type === common.TrafficType.BACK_TO_SOURCE
    ? 'BACK_TO_SOURCE'
    : type === common.TrafficType.LOCAL_PEER
      ? 'LOCAL_PEER'
      : 'REMOTE_PEER';

const SIZE_BOUNDS: readonly number[] = [
  ...[MIB, 4 * MIB],
  ...doubling(8 * MIB, GIB),
  ...[4 * GIB, 8 * GIB],
  ...doubling(16 * GIB, TIB),
];

/** Published size classes: 1 below 1 MiB, 2 below 4 MiB, 3–10 doubling to 1 GiB, 11 and 12 below 4 and 8 GiB, then doubling to 1 TiB. */
export function sizeLevelOf(contentLength: number | undefined): string {
  if (contentLength === undefined) return '0';
  const level = SIZE_BOUNDS.findIndex((bound) => contentLength < bound);
  return String(level < 0 ? SIZE_BOUNDS.length + 1 : level + 1);
}

function doubling(from: number, to: number): number[] {
  const bounds: number[] = [];
  for (let bound = from; bound <= to; bound *= 2) bounds.push(bound);
  return bounds;
}

/** The labels of a host's announcements. */
export function announcementLabels(host: common.Host) {
  return {
    os: host.os,
    platform: host.platform,
    platform_family: host.platformFamily,
    platform_version: host.platformVersion,
    kernel_version: host.kernelVersion,
    git_version: host.build?.gitVersion ?? '',
    git_commit: host.build?.gitCommit ?? '',
    go_version: host.build?.goVersion ?? '',
    build_platform: host.build?.platform ?? '',
  };
}

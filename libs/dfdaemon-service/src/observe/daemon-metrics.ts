import type { TaskTraffic } from '@d7y/peer-engine';
import type { TrafficType } from '@d7y/piece';
import type { ProxyMetrics } from '@d7y/registry-proxy';
import type { Registry } from 'prom-client';
import type { UploadMetrics } from '../upload/uploads.ts';
import { BoundedLabel } from './bounded-label.ts';
import { MetricFamily } from './metric-family.ts';
import { taskSizeLevel } from './task-size-level.ts';

/** Values of the label `type` in the two families of names. */
const TRAFFIC = {
  backToSource: { upper: 'BACK_TO_SOURCE', lower: 'back_to_source' },
  remotePeer: { upper: 'REMOTE_PEER', lower: 'remote_peer' },
  localPeer: { upper: 'LOCAL_PEER', lower: 'local_peer' },
} as const satisfies Record<TrafficType, { upper: string; lower: string }>;
const LOWER: Readonly<Record<string, string>> = Object.fromEntries(
  Object.values(TRAFFIC).map(({ upper, lower }) => [upper, lower]),
);
/** Task type "standard". */
const STANDARD = '0';

/** What gauges show when they are read. */
export interface DaemonGauges {
  readonly disk: () => Promise<{ totalBytes: number; usedBytes: number }>;
  /** Parents that this daemon is fetching from right now. */
  readonly parents: () => number;
}

/** A request for a task, as far as it is counted. */
export interface CountedRequest {
  readonly tag?: string | undefined;
  readonly application?: string | undefined;
  readonly priority: number;
}

/** Kinds of calls that are counted by name. */
export type CountedCall =
  | 'update_task'
  | 'stat_task'
  | 'stat_local_task'
  | 'list_local_tasks'
  | 'list_task_entries'
  | 'delete_task'
  | 'delete_local_task'
  | 'delete_host';

const CALLS: Readonly<Record<CountedCall, { failure?: string; hasType?: boolean }>> = {
  update_task: {},
  stat_task: {},
  stat_local_task: {},
  // The published name of its failures leaves out a word.
  list_local_tasks: { failure: 'list_tasks' },
  list_task_entries: {},
  delete_task: {},
  delete_local_task: {},
  delete_host: { hasType: false },
};

/**
 * The counters of a daemon, under the names that dashboards for daemons of this protocol use (`dragonfly_client_…`) and under the older
 * ones (`dragonfly_dfdaemon_…`, `dragonfly_…_bytes_total`), counted in one place. Labels are closed or bounded sets: no caller can make
 * up series without end.
 */
export class DaemonMetrics implements ProxyMetrics, UploadMetrics {
  readonly #proxyRequests;
  readonly #proxyFailures;
  readonly #proxyViaDfdaemon;
  readonly #proxyTraffic;
  readonly #downloadTraffic;
  readonly #peerTraffic;
  readonly #uploadTraffic;
  readonly #uploadingPieces;
  readonly #uploads;
  readonly #uploadFailures;
  readonly #runningUploads;
  readonly #uploadDuration;
  readonly #downloads;
  readonly #downloadFailures;
  readonly #runningDownloads;
  readonly #downloadDuration;
  readonly #served;
  readonly #prefetches;
  readonly #prefetchFailures;
  readonly #backendRequests;
  readonly #backendFailures;
  readonly #backendDuration;
  readonly #downloadsBlocked;
  readonly #calls;
  readonly #tags = new BoundedLabel();
  readonly #applications = new BoundedLabel();
  readonly #totals = { backToSource: 0, remotePeer: 0, localPeer: 0 };

  constructor(registry: Registry, { version, gauges }: { version: string; gauges: DaemonGauges }) {
    const family = new MetricFamily(registry);
    const task = ['type', 'tag', 'app', 'priority'] as const;
    const upload = ['type', 'tag', 'app'] as const;
    const duration = ['task_type', 'task_size_level'] as const;
    const backend = ['scheme', 'method'] as const;
    const toLower = {
      labels: ['type'],
      from: ({ type }: { type: string }) => ({ type: LOWER[type] ?? type }),
    } as const;

    this.#proxyRequests = family.counter('dragonfly_client_proxy_request_total', 'Requests the proxy received', [], {
      name: 'dragonfly_dfdaemon_proxy_request_total',
    });
    this.#proxyFailures = family.counter(
      'dragonfly_client_proxy_request_failure_total',
      'Requests the proxy could not serve',
    );
    this.#proxyViaDfdaemon = family.counter(
      'dragonfly_client_proxy_request_via_dfdaemon_total',
      'Requests that went through the engine',
    );
    this.#proxyTraffic = family.counter(
      'dragonfly_proxy_traffic_bytes_total',
      'Body bytes sent to clients of the proxy',
    );
    this.#downloadTraffic = family.counter(
      'dragonfly_client_download_traffic',
      'Bytes received, by where they came from',
      ['type'],
      { name: 'dragonfly_dfdaemon_download_traffic_total', ...toLower },
    );
    this.#peerTraffic = family.counter('dragonfly_p2p_traffic_bytes_total', 'Bytes received from other daemons');
    this.#uploadTraffic = family.counter('dragonfly_client_upload_traffic', 'Bytes sent to other daemons', [], {
      name: 'dragonfly_dfdaemon_upload_traffic_total',
    });
    this.#uploadingPieces = family.gauge(
      'dragonfly_client_concurrent_upload_piece_total',
      'Pieces being sent right now',
    );
    this.#uploads = family.counter('dragonfly_client_upload_task_total', 'Tasks other daemons asked for', upload);
    this.#uploadFailures = family.counter(
      'dragonfly_client_upload_task_failure_total',
      'Tasks other daemons asked for in vain',
      upload,
    );
    this.#runningUploads = family.gauge(
      'dragonfly_client_concurrent_upload_task_total',
      'Other daemons being served right now',
      upload,
    );
    this.#uploadDuration = family.durationMs(
      'dragonfly_client_upload_task_duration_milliseconds',
      'How long other daemons were served',
      duration,
    );
    this.#downloads = family.counter('dragonfly_client_download_task_total', 'Tasks asked for', task);
    this.#downloadFailures = family.counter('dragonfly_client_download_task_failure_total', 'Tasks that failed', task);
    this.#runningDownloads = family.gauge(
      'dragonfly_client_concurrent_download_task_total',
      'Callers being served right now',
      task,
    );
    this.#downloadDuration = family.durationMs(
      'dragonfly_client_download_task_duration_milliseconds',
      'How long callers were served',
      duration,
    );
    this.#served = family.counter(
      'dragonfly_dfdaemon_download_task_total',
      'Tasks served, by where most bytes came from',
      ['type'],
    );
    this.#prefetches = family.counter(
      'dragonfly_client_prefetch_task_total',
      'Whole tasks fetched behind ranges',
      task,
    );
    this.#prefetchFailures = family.counter(
      'dragonfly_client_prefetch_task_failure_total',
      'Whole tasks that could not be fetched behind ranges',
      task,
    );
    this.#backendRequests = family.counter('dragonfly_client_backend_request_total', 'Requests to origins', backend);
    this.#backendFailures = family.counter(
      'dragonfly_client_backend_request_failure_total',
      'Requests that origins did not serve',
      backend,
    );
    this.#backendDuration = family.durationMs(
      'dragonfly_client_backend_request_duration_milliseconds',
      'How long origins took to begin their answer',
      backend,
    );
    this.#downloadsBlocked = family.counter(
      'dragonfly_client_download_task_blocked_total',
      'Downloads refused by a block list',
      ['type'],
    );
    this.#calls = Object.fromEntries(
      Object.entries(CALLS).map(([name, { failure = name, hasType = true }]) => {
        const labels = hasType ? (['type'] as const) : [];
        return [
          name,
          {
            values: hasType ? { type: STANDARD } : {},
            total: family.counter<string>(`dragonfly_client_${name}_total`, `Calls of ${name}`, labels),
            failures: family.counter<string>(
              `dragonfly_client_${failure}_failure_total`,
              `Calls of ${name} that failed`,
              labels,
            ),
          },
        ];
      }),
    );
    for (const { upper, lower } of Object.values(TRAFFIC)) {
      this.#downloadTraffic.add({ type: upper }, 0);
      this.#served.add({ type: lower }, 0);
    }
    family
      .gauge('dragonfly_client_version', 'Version of this daemon', ['git_version', 'platform'])
      .labels(version, process.platform)
      .set(1);
    const { disk, parents } = gauges;
    family.readGauge(
      'dragonfly_client_disk_space_total',
      'Bytes of the file system that holds the content',
      async () => (await disk()).totalBytes,
    );
    family.readGauge(
      'dragonfly_client_disk_usage_space_total',
      'Bytes in use on that file system',
      async () => (await disk()).usedBytes,
    );
    family.readGauge('dragonfly_peer_count', 'Other daemons that this one is fetching from', parents);
  }

  /** Bytes received since the start. */
  get received(): TaskTraffic {
    return { ...this.#totals };
  }

  requestReceived(): void {
    this.#proxyRequests.add({});
  }

  requestFailed(): void {
    this.#proxyFailures.add({});
  }

  requestViaDfdaemon(): void {
    this.#proxyViaDfdaemon.add({});
  }

  bytesSent(bytes: number): void {
    this.#proxyTraffic.add({}, bytes);
  }

  uploadStarted(): void {
    this.#uploadingPieces.inc();
  }

  uploadEnded(bytes: number): void {
    this.#uploadingPieces.dec();
    this.#uploadTraffic.add({}, bytes);
  }

  /** Another daemon follows a task here. */
  taskUploadStarted(): void {
    this.#runningUploads.labels(STANDARD, '', '').inc();
    this.#uploads.add({ type: STANDARD, tag: '', app: '' });
  }

  taskUploadEnded(outcome: { failed: boolean; durationMs: number; contentLength: number }): void {
    this.#runningUploads.labels(STANDARD, '', '').dec();
    if (outcome.failed) this.#uploadFailures.add({ type: STANDARD, tag: '', app: '' });
    else this.#uploadDuration.labels(STANDARD, taskSizeLevel(outcome.contentLength)).observe(outcome.durationMs);
  }

  bytesReceived(type: TrafficType, bytes: number): void {
    this.#totals[type] += bytes;
    this.#downloadTraffic.add({ type: TRAFFIC[type].upper }, bytes);
    if (type === 'remotePeer') this.#peerTraffic.add({}, bytes);
  }

  downloadStarted(request: CountedRequest): void {
    const labels = this.#taskLabels(request);
    this.#downloads.add(labels);
    this.#runningDownloads.inc(labels);
  }

  /** @param outcome.servedBy where most bytes came from; undefined when the download failed */
  downloadEnded(
    request: CountedRequest,
    outcome: { servedBy: TrafficType | undefined; durationMs: number; contentLength: number },
  ): void {
    const labels = this.#taskLabels(request);
    this.#runningDownloads.dec(labels);
    if (outcome.servedBy === undefined) return this.#downloadFailures.add(labels);
    this.#served.add({ type: TRAFFIC[outcome.servedBy].lower });
    this.#downloadDuration.labels(STANDARD, taskSizeLevel(outcome.contentLength)).observe(outcome.durationMs);
  }

  prefetchStarted(request: CountedRequest): void {
    this.#prefetches.add(this.#taskLabels(request));
  }

  prefetchFailed(request: CountedRequest): void {
    this.#prefetchFailures.add(this.#taskLabels(request));
  }

  /** @param scheme of the URL, lower-case; @param method HEAD for a question about the content, GET for the content */
  backendAnswered(
    scheme: 'http' | 'https' | 'other',
    method: 'HEAD' | 'GET',
    outcome: { failed: boolean; durationMs: number },
  ): void {
    this.#backendRequests.add({ scheme, method });
    if (outcome.failed) this.#backendFailures.add({ scheme, method });
    else this.#backendDuration.labels(scheme, method).observe(outcome.durationMs);
  }

  downloadBlocked(): void {
    this.#downloadsBlocked.add({ type: STANDARD });
  }

  callEnded(call: CountedCall, failed: boolean): void {
    const counted = this.#calls[call];
    counted?.total.add(counted.values);
    if (failed) counted?.failures.add(counted.values);
  }

  #taskLabels({ tag, application, priority }: CountedRequest) {
    return {
      type: STANDARD,
      tag: this.#tags.of(tag),
      app: this.#applications.of(application),
      priority: String(priority),
    };
  }
}

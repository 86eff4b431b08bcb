import type { TaskTraffic } from '@d7y/peer-engine';
import type { TrafficType } from '@d7y/piece';
import type { ProxyMetrics } from '@d7y/registry-proxy';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { UploadMetrics } from '../upload/uploads.ts';

/** Values of the label `type` in the two families of names. */
const TYPES = {
  backToSource: { upper: 'BACK_TO_SOURCE', lower: 'back_to_source' },
  remotePeer: { upper: 'REMOTE_PEER', lower: 'remote_peer' },
  localPeer: { upper: 'LOCAL_PEER', lower: 'local_peer' },
} as const satisfies Record<TrafficType, { upper: string; lower: string }>;

/** What gauges show when they are read. */
export interface DaemonGauges {
  readonly disk: () => Promise<{ totalBytes: number; usedBytes: number }>;
}

/**
 * The counters of a daemon, under the names that dashboards for daemons of this protocol use (`dragonfly_client_…`) and under the older
 * ones (`dragonfly_dfdaemon_…`), counted in one place. Labels are closed sets: no caller can make up new series.
 */
export class DaemonMetrics implements ProxyMetrics, UploadMetrics {
  readonly #registry: Registry;
  readonly #proxyRequests;
  readonly #proxyFailures;
  readonly #proxyViaDfdaemon;
  readonly #olderProxyRequests;
  readonly #proxyTraffic;
  readonly #downloadTraffic;
  readonly #olderDownloadTraffic;
  readonly #peerTraffic;
  readonly #uploadTraffic;
  readonly #olderUploadTraffic;
  readonly #uploadingPieces;
  readonly #downloads;
  readonly #downloadFailures;
  readonly #runningDownloads;
  readonly #olderDownloads;
  readonly #totals = { backToSource: 0, remotePeer: 0, localPeer: 0 };

  constructor(registry: Registry, { version, gauges }: { version: string; gauges: DaemonGauges }) {
    this.#registry = registry;
    this.#proxyRequests = this.#counter('dragonfly_client_proxy_request_total', 'Requests the proxy received');
    this.#proxyFailures = this.#counter(
      'dragonfly_client_proxy_request_failure_total',
      'Requests the proxy could not serve',
    );
    this.#proxyViaDfdaemon = this.#counter(
      'dragonfly_client_proxy_request_via_dfdaemon_total',
      'Requests that went through the engine',
    );
    this.#olderProxyRequests = this.#counter('dragonfly_dfdaemon_proxy_request_total', 'Requests the proxy received');
    this.#proxyTraffic = this.#counter(
      'dragonfly_proxy_traffic_bytes_total',
      'Body bytes sent to clients of the proxy',
    );
    this.#downloadTraffic = this.#counter(
      'dragonfly_client_download_traffic',
      'Bytes received, by where they came from',
      ['type'],
    );
    this.#olderDownloadTraffic = this.#counter(
      'dragonfly_dfdaemon_download_traffic_total',
      'Bytes received, by where they came from',
      ['type'],
    );
    this.#peerTraffic = this.#counter('dragonfly_p2p_traffic_bytes_total', 'Bytes received from other daemons');
    this.#uploadTraffic = this.#counter('dragonfly_client_upload_traffic', 'Bytes sent to other daemons');
    this.#olderUploadTraffic = this.#counter('dragonfly_dfdaemon_upload_traffic_total', 'Bytes sent to other daemons');
    this.#uploadingPieces = this.#gauge(
      'dragonfly_client_concurrent_upload_piece_total',
      'Pieces being sent right now',
    );
    this.#downloads = this.#counter('dragonfly_client_download_task_total', 'Tasks asked for', ['type']);
    this.#downloadFailures = this.#counter('dragonfly_client_download_task_failure_total', 'Tasks that failed', [
      'type',
    ]);
    this.#runningDownloads = this.#gauge(
      'dragonfly_client_concurrent_download_task_total',
      'Callers being served right now',
      ['type'],
    );
    this.#olderDownloads = this.#counter(
      'dragonfly_dfdaemon_download_task_total',
      'Tasks served, by where most bytes came from',
      ['type'],
    );
    for (const { upper, lower } of Object.values(TYPES)) {
      this.#downloadTraffic.labels(upper).inc(0);
      this.#olderDownloadTraffic.labels(lower).inc(0);
      this.#olderDownloads.labels(lower).inc(0);
    }
    this.#gauge('dragonfly_client_version', 'Version of this daemon', ['git_version', 'platform'])
      .labels(version, process.platform)
      .set(1);
    this.#diskGauges(gauges);
  }

  /** Bytes received since the start. */
  get received(): TaskTraffic {
    return { ...this.#totals };
  }

  requestReceived(): void {
    this.#proxyRequests.inc();
    this.#olderProxyRequests.inc();
  }

  requestFailed(): void {
    this.#proxyFailures.inc();
  }

  requestViaDfdaemon(): void {
    this.#proxyViaDfdaemon.inc();
  }

  bytesSent(bytes: number): void {
    this.#proxyTraffic.inc(bytes);
  }

  uploadStarted(): void {
    this.#uploadingPieces.inc();
  }

  uploadEnded(bytes: number): void {
    this.#uploadingPieces.dec();
    this.#uploadTraffic.inc(bytes);
    this.#olderUploadTraffic.inc(bytes);
  }

  bytesReceived(type: TrafficType, bytes: number): void {
    this.#totals[type] += bytes;
    this.#downloadTraffic.labels(TYPES[type].upper).inc(bytes);
    this.#olderDownloadTraffic.labels(TYPES[type].lower).inc(bytes);
    if (type === 'remotePeer') this.#peerTraffic.inc(bytes);
  }

  downloadStarted(): void {
    this.#downloads.labels('0').inc();
    this.#runningDownloads.labels('0').inc();
  }

  /** @param servedBy undefined when the download failed */
  downloadEnded(servedBy: TrafficType | undefined): void {
    this.#runningDownloads.labels('0').dec();
    if (servedBy === undefined) this.#downloadFailures.labels('0').inc();
    else this.#olderDownloads.labels(TYPES[servedBy].lower).inc();
  }

  #counter<Label extends string = never>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
  ): Counter<Label> {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  #gauge<Label extends string = never>(name: string, help: string, labelNames: readonly Label[] = []): Gauge<Label> {
    return new Gauge({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  #diskGauges({ disk }: DaemonGauges): void {
    const gauge = (
      name: string,
      help: string,
      pick: (space: { totalBytes: number; usedBytes: number }) => number,
    ): void => {
      new Gauge({
        name,
        help,
        registers: [this.#registry],
        async collect() {
          this.set(pick(await disk()));
        },
      });
    };
    gauge(
      'dragonfly_client_disk_space_total',
      'Bytes of the file system that holds the content',
      ({ totalBytes }) => totalBytes,
    );
    gauge('dragonfly_client_disk_usage_space_total', 'Bytes in use on that file system', ({ usedBytes }) => usedBytes);
  }
}

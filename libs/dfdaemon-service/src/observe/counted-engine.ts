import type { TaskOpener, TaskRequest, TaskStream } from '@d7y/peer-engine';
import type { TrafficType } from '@d7y/piece';
import type { DaemonMetrics } from './daemon-metrics.ts';

/** The engine as front ends get it: every caller's part is counted from its request to its leaving. */
export class CountedEngine implements TaskOpener {
  readonly #engine: TaskOpener;
  readonly #metrics: DaemonMetrics;
  #failed = 0;
  #served = 0;
  #backToSource = 0;

  constructor(engine: TaskOpener, metrics: DaemonMetrics) {
    this.#engine = engine;
    this.#metrics = metrics;
  }

  /** Callers since the start, by how it ended. */
  get counts(): { readonly served: number; readonly failed: number; readonly backToSource: number } {
    return { served: this.#served, failed: this.#failed, backToSource: this.#backToSource };
  }

  async open(request: TaskRequest, options: { signal: AbortSignal }): Promise<TaskStream> {
    const startedAtMs = performance.now();
    this.#metrics.downloadStarted(request);
    let stream: TaskStream;
    try {
      stream = await this.#engine.open(request, options);
    } catch (error) {
      this.#ended(request, { servedBy: undefined, startedAtMs, contentLength: 0 });
      throw error;
    }
    return this.#counted(stream, request, startedAtMs);
  }

  #counted(inner: TaskStream, request: TaskRequest, startedAtMs: number): TaskStream {
    let hasFailed = false;
    let hasLeft = false;
    const watch = async <T>(work: Promise<T>): Promise<T> => {
      try {
        return await work;
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    };
    return {
      taskId: inner.taskId,
      get contentLength() {
        return inner.contentLength;
      },
      range: inner.range,
      responseHeaders: inner.responseHeaders,
      fromCache: inner.fromCache,
      firstByte: () => watch(inner.firstByte()),
      deliver: (write) => watch(inner.deliver(write)),
      traffic: () => inner.traffic(),
      [Symbol.asyncDispose]: async () => {
        if (!hasLeft) {
          hasLeft = true;
          const servedBy = hasFailed ? undefined : mainSource(inner);
          this.#ended(request, { servedBy, startedAtMs, contentLength: inner.contentLength ?? 0 });
          if (!hasFailed) this.#metrics.bytesReceived('localPeer', localBytes(inner));
        }
        await inner[Symbol.asyncDispose]();
      },
    };
  }

  #ended(
    request: TaskRequest,
    outcome: { servedBy: TrafficType | undefined; startedAtMs: number; contentLength: number },
  ): void {
    const { servedBy, startedAtMs, contentLength } = outcome;
    this.#metrics.downloadEnded(request, { servedBy, durationMs: performance.now() - startedAtMs, contentLength });
    if (servedBy === undefined) this.#failed++;
    else this.#served++;
    if (servedBy === 'backToSource') this.#backToSource++;
  }
}

function mainSource(stream: TaskStream): TrafficType {
  if (stream.fromCache) return 'localPeer';
  const { backToSource, remotePeer } = stream.traffic();
  return remotePeer > backToSource ? 'remotePeer' : 'backToSource';
}

/** What this caller was given from the disk, at most. */
function localBytes(stream: TaskStream): number {
  return Math.min(stream.traffic().localPeer, stream.range?.length ?? stream.contentLength ?? 0);
}

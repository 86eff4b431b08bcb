import type { TaskOpener, TaskRequest, TaskStream } from '@d7y/peer-engine';
import type { TrafficType } from '@d7y/piece';
import type { DaemonMetrics } from './daemon-metrics.ts';

/** The engine as front ends get it: every caller's part is counted from its request to its leaving. */
export class CountedEngine implements TaskOpener {
  readonly #engine: TaskOpener;
  readonly #metrics: DaemonMetrics;
  #failed = 0;
  #served = 0;

  constructor(engine: TaskOpener, metrics: DaemonMetrics) {
    this.#engine = engine;
    this.#metrics = metrics;
  }

  /** Callers since the start, by how it ended. */
  get counts(): { readonly served: number; readonly failed: number } {
    return { served: this.#served, failed: this.#failed };
  }

  async open(request: TaskRequest, options: { signal: AbortSignal }): Promise<TaskStream> {
    this.#metrics.downloadStarted();
    let stream: TaskStream;
    try {
      stream = await this.#engine.open(request, options);
    } catch (error) {
      this.#ended(undefined);
      throw error;
    }
    return this.#counted(stream);
  }

  #counted(inner: TaskStream): TaskStream {
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
          this.#ended(hasFailed ? undefined : mainSource(inner));
          if (!hasFailed) this.#metrics.bytesReceived('localPeer', localBytes(inner));
        }
        await inner[Symbol.asyncDispose]();
      },
    };
  }

  #ended(servedBy: TrafficType | undefined): void {
    this.#metrics.downloadEnded(servedBy);
    if (servedBy === undefined) this.#failed++;
    else this.#served++;
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

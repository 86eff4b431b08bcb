import type { TaskOpener, TaskRequest, TaskStream } from '@d7y/peer-engine';
import type { TrafficType } from '@d7y/piece';
import type { DaemonMetrics } from './daemon-metrics.ts';

/** What callers are being served right now, for the status page. */
export interface ActiveTask {
  readonly taskId: string;
  readonly contentLength: number | undefined;
  readonly receivedBytes: number;
}

/** The engine as front ends get it: every caller's part is counted from its request to its leaving. */
export class CountedEngine implements TaskOpener {
  readonly #engine: TaskOpener;
  readonly #metrics: DaemonMetrics;
  readonly #active = new Set<TaskStream>();
  #failed = 0;
  #served = 0;

  constructor(engine: TaskOpener, metrics: DaemonMetrics) {
    this.#engine = engine;
    this.#metrics = metrics;
  }

  /** One entry for each task, however many callers it has. */
  active(): readonly ActiveTask[] {
    const byId = new Map<string, ActiveTask>();
    for (const stream of this.#active) {
      const { backToSource, remotePeer, localPeer } = stream.traffic();
      const { taskId, contentLength } = stream;
      byId.set(taskId, { taskId, contentLength, receivedBytes: backToSource + remotePeer + localPeer });
    }
    return [...byId.values()];
  }

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
    const stream: TaskStream = {
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
          this.#active.delete(stream);
          this.#ended(hasFailed ? undefined : mainSource(inner));
        }
        await inner[Symbol.asyncDispose]();
      },
    };
    this.#active.add(stream);
    return stream;
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

import type { PieceRecord, TrafficType } from '@d7y/piece';
import type { BufferPool, Logger } from '@d7y/service-kit';
import type { Tracer } from '@opentelemetry/api';
import type { AcquisitionTimeouts } from './acquisition.ts';
import type { Origin } from './ports/origin.ts';
import type { Parents } from './ports/parents.ts';
import type { Schedulers, SeedMemory } from './ports/schedulers.ts';
import type { TaskStore } from './ports/task-store.ts';

/** This daemon, as it names itself to others. */
export interface SelfHost {
  readonly hostId: string;
  readonly ip: string;
  readonly hostname: string;
  readonly isSeed: boolean;
}

/** What the engine tells its service, for metrics. None of these may throw. */
export interface EngineEvents {
  taskStarted(taskId: string): void;
  taskEnded(
    taskId: string,
    outcome: 'succeeded' | 'failed' | 'abandoned',
    durationMs: number,
    contentLength: number,
  ): void;
  pieceReceived(trafficType: TrafficType, bytes: number, costMs: number): void;
  parentBlamed(hostId: string, reason: string): void;
}

/** What the engine is built from. */
export interface EngineComponents {
  readonly host: SelfHost;
  readonly store: TaskStore;
  readonly origin: Origin;
  readonly schedulers: Schedulers;
  readonly seeds: SeedMemory;
  readonly parents: Parents;
  /** Shared with nothing that waits for a reader, or readers could starve each other. */
  readonly readBuffers: BufferPool;
  readonly tracer: Tracer;
  readonly logger: Logger;
  readonly events: EngineEvents;
  /** Unix time in ms. */
  readonly clock: () => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly uuid: () => string;
}

/** What an operator may tune. */
export interface EngineOptions {
  /** Pieces of one task fetched from parents at the same time. */
  readonly concurrentPieceCount: number;
  /** Requests of one task to the origin at the same time. */
  readonly originConcurrency: number;
  readonly timeouts: AcquisitionTimeouts;
}

export const DEFAULT_ENGINE_OPTIONS: EngineOptions = {
  concurrentPieceCount: 8,
  originConcurrency: 4,
  timeouts: { instructionMs: 15_000, starvationMs: 10_000, seedMs: 10_000, reconnectMs: 2_000 },
};

/** What others may learn of a task while it is downloaded, or afterwards. */
export interface TaskWatch extends Disposable {
  /** Pieces that are here now; a snapshot. */
  readonly finished: readonly PieceRecord[];
  /** Pieces as they arrive from now on; ends when the task is over, throws when it failed. */
  readonly arriving: AsyncIterable<PieceRecord>;
}

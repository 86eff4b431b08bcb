import type { ContentHasher } from '@d7y/peer-protocol';
import type { PieceRecord, TrafficType } from '@d7y/piece';
import type { BufferPool, ByteLimiter, Logger } from '@d7y/service-kit';
import type { Tracer } from '@opentelemetry/api';
import type { AcquisitionTimeouts } from './acquisition.ts';
import type { LatePolicy } from './lateness.ts';
import { DEFAULT_LATE_POLICY } from './lateness.ts';
import type { Origin } from './ports/origin.ts';
import type { Parents } from './ports/parents.ts';
import type { Schedulers, SeedMemory } from './ports/schedulers.ts';
import type { SwarmLink } from './ports/swarm-link.ts';
import type { TaskStore } from './ports/task-store.ts';
import type { TaskRequest } from './task-request.ts';
import type { StallPolicy } from './reader-buffers.ts';
import { DEFAULT_STALL_POLICY } from './reader-buffers.ts';

/** This daemon, as it names itself to others. */
export interface SelfHost {
  readonly hostId: string;
  readonly ip: string;
  readonly hostname: string;
  readonly isSeed: boolean;
  /** Where it is; parents near it are preferred. */
  readonly idc?: string | undefined;
  readonly location?: string | undefined;
}

/** Limits that all tasks of this host share; what is missing is not limited. */
export interface EngineLimits {
  /** Everything that is fetched. */
  readonly download?: ByteLimiter | undefined;
  /** What is fetched from origins. */
  readonly origin?: ByteLimiter | undefined;
  /** What nobody waits for. */
  readonly prefetch?: ByteLimiter | undefined;
  /** What is taken of one host, in bytes per second. */
  readonly perParentBytesPerSec?: number | undefined;
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
  /** The rest of a task is fetched behind a range of it. */
  prefetchStarted(request: TaskRequest): void;
  prefetchFailed(request: TaskRequest): void;
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
  /** Undefined where there is nobody of our own kind to speak with. */
  readonly link?: SwarmLink | undefined;
  readonly limits?: EngineLimits | undefined;
  /** Hashes off this thread what has a file; without one all is hashed here. */
  readonly hasher?: ContentHasher | undefined;
  /** Waits while this host holds enough of a task that its children are to get first; undefined when nothing is to be waited for. */
  readonly pace?: ((taskId: string, options: { signal: AbortSignal }) => Promise<void> | undefined) | undefined;
  /** Shared with nothing that waits for a reader, or readers could starve each other. */
  readonly readBuffers: BufferPool;
  /** Larger ones, for as many readers as they last. */
  readonly largeReadBuffers?: BufferPool | undefined;
  /** Smaller ones, for readers that come when all of these are with others. */
  readonly reserveBuffers?: BufferPool | undefined;
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
  /** Parents that a scheduler offers for what no neighbour brings are asked after so long without a piece under way, in ms. */
  readonly fallbackMs: number;
  /** After so long without a piece under way parents are asked that want their children to wait for turns, in ms. */
  readonly turnWaitMs: number;
  readonly timeouts: AcquisitionTimeouts;
  /** What readers get of content with a known digest before the whole has matched: bytes of the origin and verified pieces, or everything. */
  readonly release: 'verified' | 'streaming';
  /** Requests for parents per conversation with a scheduler. */
  readonly maxScheduleCount: number;
  readonly late: LatePolicy;
  readonly stall: StallPolicy;
  /** How long content of a URL that names no digest is used without asking the origin whether it is still the same, in ms. */
  readonly revalidateMs: number;
  /** Secret request headers go to schedulers, and so to seeds, which stock seeds need for private content. */
  readonly forwardCredentials: boolean;
}

export const DEFAULT_ENGINE_OPTIONS: EngineOptions = {
  concurrentPieceCount: 8,
  originConcurrency: 4,
  fallbackMs: 1000,
  turnWaitMs: 2_000,
  release: 'verified',
  timeouts: {
    instructionMs: 15_000,
    starvationMs: 10_000,
    lateMs: 5_000,
    leaseRetryMs: 1_000,
    seedMs: 10_000,
    reconnectMs: 500,
  },
  maxScheduleCount: 5,
  late: DEFAULT_LATE_POLICY,
  stall: DEFAULT_STALL_POLICY,
  revalidateMs: 60_000,
  forwardCredentials: false,
};

/** What others may learn of a task while it is downloaded, or afterwards. */
export interface TaskWatch extends Disposable {
  /** Pieces that are here now; a snapshot. */
  readonly finished: readonly PieceRecord[];
  /** Pieces as they arrive from now on; ends when the task is over, throws when it failed. */
  readonly arriving: AsyncIterable<PieceRecord>;
}

import { randomUUID } from 'node:crypto';
import {
  DEFAULT_ENGINE_OPTIONS,
  Engine,
  type EngineComponents,
  type EngineOptions,
  type TaskStore,
} from '@d7y/peer-engine';
import { RateLimiter } from '@d7y/service-kit';
import type { DfdaemonConfig } from '../config/schema.ts';
import type { DaemonMetrics } from '../observe/daemon-metrics.ts';
import type { Origins } from './origins.ts';
import { bufferPool, type Runtime } from './runtime.ts';
import type { SwarmAccess } from './swarm.ts';

/** What the first readers are given: each turn of reading and sending costs the same, whatever its size. */
const LARGE_BUFFER_BYTES = 512 * 1024;
/** What readers get along with while others keep all buffers: many small ones, so that many may keep one each. */
const RESERVE_BUFFER_BYTES = 32 * 1024;

/** The engine, with everything it works with. */
export function createEngine(
  runtime: Runtime,
  parts: {
    readonly store: TaskStore;
    readonly origins: Origins;
    readonly swarm: SwarmAccess;
    readonly metrics: DaemonMetrics;
    readonly pace: EngineComponents['pace'];
  },
): Engine {
  const { config, identity, logger, telemetry, stack } = runtime;
  const { store, origins, swarm, metrics, pace } = parts;
  return stack.use(
    new Engine(
      {
        host: { ...identity, idc: config.host.idc, location: config.host.location },
        store,
        origin: origins.origin,
        schedulers: swarm.directory,
        seeds: swarm.seeds,
        parents: swarm.parents,
        link: swarm.links,
        hasher: swarm.hasher,
        pace,
        limits: {
          download: limiter(config.download.bandwidthLimit),
          origin: limiter(config.download.backToSourceBandwidthLimit),
          prefetch: limiter(config.proxy.prefetchBandwidthLimit),
          perParentBytesPerSec: config.download.perPeerRateLimit,
        },
        readBuffers: bufferPool(runtime, 1 / 4),
        largeReadBuffers: bufferPool(runtime, 1 / 8, LARGE_BUFFER_BYTES),
        reserveBuffers: bufferPool(runtime, 1 / 8, RESERVE_BUFFER_BYTES),
        tracer: telemetry.tracer,
        logger,
        events: {
          taskStarted: () => undefined, // callers are counted, not downloads: see CountedEngine
          taskEnded: (taskId, outcome, durationMs, contentLength) =>
            logger.debug({ taskId, outcome, durationMs, contentLength }, 'download task ended'),
          prefetchStarted: (request) => metrics.prefetchStarted(request),
          prefetchFailed: (request) => metrics.prefetchFailed(request),
          pieceReceived: (trafficType, bytes) => metrics.bytesReceived(trafficType, bytes),
          parentBlamed: (parentHostId, reason) =>
            logger.warn({ parent: parentHostId, reason }, 'a peer is not trusted any more'),
        },
        clock: Date.now,
        random: Math.random,
        uuid: randomUUID,
      },
      { ...engineOptions(config), ...runtime.overrides.engine },
    ),
  );
}

function engineOptions({ download, scheduler, proxy }: DfdaemonConfig): EngineOptions {
  const { timeouts } = DEFAULT_ENGINE_OPTIONS;
  return {
    ...DEFAULT_ENGINE_OPTIONS,
    concurrentPieceCount: download.concurrentPieceCount,
    maxScheduleCount: scheduler.maxScheduleCount,
    revalidateMs: download.revalidateInterval,
    forwardCredentials: download.forwardCredentials,
    release: proxy.release,
    timeouts: {
      ...timeouts,
      instructionMs: scheduler.scheduleTimeout,
      starvationMs: download.collectedPieceTimeout,
    },
  };
}

function limiter(bytesPerSec: number | undefined): RateLimiter | undefined {
  return bytesPerSec === undefined ? undefined : new RateLimiter({ bytesPerSec });
}

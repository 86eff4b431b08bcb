import { randomUUID } from 'node:crypto';
import { DEFAULT_ENGINE_OPTIONS, Engine, type TaskStore } from '@d7y/peer-engine';
import type { DaemonMetrics } from '../observe/daemon-metrics.ts';
import type { Origins } from './origins.ts';
import { bufferPool, type Runtime } from './runtime.ts';
import type { SwarmAccess } from './swarm.ts';

/** The engine, with everything it works with. */
export function createEngine(
  runtime: Runtime,
  parts: {
    readonly store: TaskStore;
    readonly origins: Origins;
    readonly swarm: SwarmAccess;
    readonly metrics: DaemonMetrics;
  },
): Engine {
  const { config, identity, logger, telemetry, stack } = runtime;
  const { store, origins, swarm, metrics } = parts;
  return stack.use(
    new Engine(
      {
        host: identity,
        store,
        origin: origins.origin,
        schedulers: swarm.directory,
        seeds: swarm.seeds,
        parents: swarm.parents,
        link: swarm.links,
        readBuffers: bufferPool(runtime, 1 / 2),
        tracer: telemetry.tracer,
        logger,
        events: {
          taskStarted: () => undefined, // callers are counted, not downloads: see CountedEngine
          taskEnded: (taskId, outcome, durationMs, contentLength) =>
            logger.debug({ taskId, outcome, durationMs, contentLength }, 'download task ended'),
          pieceReceived: (trafficType, bytes) => metrics.bytesReceived(trafficType, bytes),
          parentBlamed: (parentHostId, reason) =>
            logger.warn({ parent: parentHostId, reason }, 'a peer is not trusted any more'),
        },
        clock: Date.now,
        random: Math.random,
        uuid: randomUUID,
      },
      {
        ...DEFAULT_ENGINE_OPTIONS,
        concurrentPieceCount: config.download.concurrentPieceCount,
        forwardCredentials: config.download.forwardCredentials,
      },
    ),
  );
}

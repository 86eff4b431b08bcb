import type { Engine, TaskOpener } from '@d7y/peer-engine';
import type { TaskPieces } from '@d7y/peer-protocol';
import type { PieceStore } from '@d7y/piece-store';
import type { AccessPolicy } from '@d7y/registry-proxy';
import { createRulesInterceptor } from '@d7y/message-rules';
import { createHealth, type Health, type ListenOptions } from '@d7y/service-kit';
import type { DownloadTaskPorts } from '../rpc/download-task.ts';
import type { DaemonMetrics } from '../observe/daemon-metrics.ts';
import { countedPieces } from '../observe/counted-pieces.ts';
import { countedCalls } from '../rpc/counted-calls.ts';
import { TaskAdmin } from '../rpc/local-tasks.ts';
import { piecesOfEngine } from '../upload/engine-pieces.ts';
import type { PieceServing } from './peers.ts';
import type { Runtime } from './runtime.ts';
import type { SwarmAccess } from './swarm.ts';

/** How long RPCs and uploads under way may go on when the daemon stops. */
const DRAIN_MS = 5_000;

/** What both gRPC services, for other daemons and for this machine, are made of. */
export interface RpcParts {
  readonly rpc: DownloadTaskPorts & {
    readonly admin: TaskAdmin;
    readonly pieces: ReturnType<typeof piecesOfEngine>;
  };
  /** The same pieces as other daemons follow them. */
  readonly piecesForChildren: TaskPieces;
  readonly health: Health;
  /** Options of both listeners. */
  readonly shared: Pick<ListenOptions, 'interceptors' | 'logger' | 'telemetry' | 'metrics' | 'health' | 'drainMs'>;
}

export function createRpcParts(
  { identity, logger, telemetry, metrics }: Runtime,
  parts: {
    readonly store: PieceStore;
    readonly engine: Engine;
    /** The engine with its callers counted. */
    readonly opener: TaskOpener;
    readonly access: AccessPolicy;
    readonly pieceServing: Pick<PieceServing, 'uploads' | 'steered'>;
    readonly swarm: SwarmAccess;
    readonly metrics: DaemonMetrics;
  },
): RpcParts {
  const { store, engine, opener, access, swarm } = parts;
  const { uploads, steered } = parts.pieceServing;
  // Whoever has a task downloaded here only wants to know how it goes.
  const pieces = piecesOfEngine(engine, store, { isAudience: false });
  const relayed = piecesOfEngine(engine, store, { isAudience: true });
  const admin = new TaskAdmin({ store, engine, uploads, schedulers: swarm.directory });
  const health = createHealth();
  const interceptors = [countedCalls(parts.metrics), createRulesInterceptor()];
  return {
    rpc: { engine: opener, store, pieces, access, identity, logger, admin },
    piecesForChildren: countedPieces(steered.over(relayed), store, parts.metrics),
    health,
    shared: { interceptors, logger, telemetry, metrics, health, drainMs: DRAIN_MS },
  };
}

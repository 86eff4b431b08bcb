import { dfdaemon, swarm } from '@d7y/api';
import type { Engine } from '@d7y/peer-engine';
import { startPieceServer } from '@d7y/peer-protocol';
import type { PieceStore } from '@d7y/piece-store';
import { listen, RateLimiter } from '@d7y/service-kit';
import type { OwnVouchers } from '../link/own-vouchers.ts';
import type { DaemonMetrics } from '../observe/daemon-metrics.ts';
import { swarmService } from '../rpc/swarm-service.ts';
import { LONG_STREAMS, uploadService } from '../rpc/upload-service.ts';
import { ChildTraces } from '../upload/child-traces.ts';
import { GreetedHosts } from '../upload/greeted-hosts.ts';
import { SteeredTasks } from '../upload/steered-tasks.ts';
import { unauthenticatedPieces } from '../upload/unauthenticated-pieces.ts';
import { Uploads } from '../upload/uploads.ts';
import { VERSION } from '../version.ts';
import { listening } from './listening.ts';
import type { RpcParts } from './rpc-parts.ts';
import { bufferPool, openDoor, type Runtime } from './runtime.ts';
import type { SwarmAccess } from './swarm.ts';

/** What other daemons fetch from here: the piece server. */
export interface PieceServing {
  readonly uploads: Uploads;
  readonly traces: ChildTraces;
  readonly steered: SteeredTasks;
  readonly greeted: GreetedHosts;
  /** Where pieces are served over TLS, if this daemon has certificates, else without. */
  readonly port: number;
}

/** A read from the store costs nearly the same, whatever its size. */
const UPLOAD_BUFFER_BYTES = 512 * 1024;

/** @throws {StartError} */
export async function servePieces(
  runtime: Runtime,
  { store, engine, metrics }: { readonly store: PieceStore; readonly engine: Engine; readonly metrics: DaemonMetrics },
): Promise<PieceServing> {
  const { config, telemetry, logger, anyAddress, tls } = runtime;
  const { server } = config.storage;
  const traces = new ChildTraces();
  const { disableShared, bandwidthLimit, concurrentPieceCount, turns } = config.upload;
  const greeted = new GreetedHosts();
  const steered = new SteeredTasks(store, () => performance.now(), {
    lookAhead: config.download.originLookAhead,
    // By turns the next piece is promised while the one before is being sent.
    uploadSlots: turns ? 1 : concurrentPieceCount,
    isOwn: (hostId) => greeted.has(hostId),
  });
  const uploads = new Uploads({
    ...{ store, pieces: engine, traces, tracer: telemetry.tracer, metrics, steering: steered, disableShared },
  });
  const { port } = openDoor(
    runtime,
    await listening(() =>
      startPieceServer({
        host: server.ip ?? anyAddress,
        port: tls.server === undefined ? server.tcpPort : server.tlsPort,
        tls: tls.server,
        source:
          tls.server === undefined
            ? unauthenticatedPieces(uploads, store, { servesPrivate: config.proxy.access !== 'strict' })
            : uploads,
        bufferPool: bufferPool(runtime, 1 / 4, UPLOAD_BUFFER_BYTES),
        limits: { concurrentUploads: concurrentPieceCount },
        isFresh: (taskId) => steered.isFresh(taskId),
        limiter: bandwidthLimit > 0 ? new RateLimiter({ bytesPerSec: bandwidthLimit }) : undefined,
        logger,
      }),
    ),
  );
  return { uploads, traces, steered, greeted, port };
}

/** The gRPC port for other daemons and for schedulers. @throws {StartError} */
export async function serveUploadRpc(
  runtime: Runtime,
  { rpc, shared, piecesForChildren }: RpcParts,
  {
    swarm: { facts },
    pieceServing: { traces, greeted, port: piecePort },
    ownVouchers,
  }: { readonly swarm: SwarmAccess; readonly pieceServing: PieceServing; readonly ownVouchers: OwnVouchers },
): Promise<{ readonly port: number }> {
  const { config, identity, lifetime, anyAddress, tls } = runtime;
  const { hostId, ip } = identity;
  const { disableShared } = config.upload;
  const isSecure = tls.server !== undefined;
  return openDoor(
    runtime,
    await listen({
      ...shared,
      host: config.upload.server.ip ?? anyAddress,
      port: config.upload.server.port,
      tls: tls.server,
      grpc: (router) => {
        router.service(
          dfdaemon.DfdaemonUpload,
          uploadService({
            ...{ ...rpc, piecesForChildren, traces, facts, disableShared },
            pieceServer: { ip, tcpPort: isSecure ? undefined : piecePort },
            lifetime: lifetime.signal,
          }),
        );
        router.service(
          swarm.SwarmService,
          swarmService({
            ...{
              hostId,
              greeted,
              version: VERSION,
              vouchers: ownVouchers,
              disableShared,
              takesTurns: config.upload.turns,
            },
            pieceTlsPort: isSecure ? piecePort : undefined,
          }),
        );
      },
      longStreams: LONG_STREAMS,
    }),
  );
}

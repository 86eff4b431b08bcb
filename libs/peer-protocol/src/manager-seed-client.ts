import { createClient } from '@connectrpc/connect';
import { manager } from '@d7y/api';
import type { GrpcConnectionOptions, GrpcTarget } from './grpc-connection.ts';
import { createGrpcConnection } from './grpc-connection.ts';
import { keepAliveAt } from './manager-keep-alive.ts';
import { unaryCall } from './unary-call.ts';

/** Deadline of every unary call. */
const UNARY_TIMEOUT_MS = 10_000;

/** What a seed peer tells a manager of itself. */
export interface SeedPeerRegistration {
  readonly hostname: string;
  readonly ip: string;
  /** Of its upload service. */
  readonly port: number;
  readonly downloadPort: number;
  readonly clusterId: number;
  readonly idc: string | undefined;
  readonly location: string | undefined;
}

/** A manager, seen from a seed peer. */
export interface SeedPeerManagerClient extends Disposable {
  /** `host:port`, for logs. */
  readonly address: string;
  /** Makes the seed peer known, or known anew. @throws {RpcError} */
  register(registration: SeedPeerRegistration, options: { signal: AbortSignal }): Promise<void>;
  /**
   * Says every `intervalMs` that it is alive, the first time at once, until the signal ends it.
   * @throws {RpcError} when the stream breaks
   */
  keepAlive(registration: SeedPeerRegistration, intervalMs: number, options: { signal: AbortSignal }): Promise<void>;
}

/** Prepares a client of a manager; nothing is dialled before the first call. */
export function createSeedPeerManagerClient(
  target: GrpcTarget,
  options: GrpcConnectionOptions = {},
): SeedPeerManagerClient {
  const connection = createGrpcConnection(target, options);
  const { address } = connection;
  const client = createClient(manager.Manager, connection.transport);
  const sourceType = manager.SourceType.SEED_PEER_SOURCE;
  return {
    address,
    async register({ clusterId, idc, location, ...self }, { signal }) {
      const request = {
        ...{ ...self, sourceType, type: 'super', seedPeerClusterId: BigInt(clusterId) },
        ...(idc === undefined ? {} : { idc }),
        ...(location === undefined ? {} : { location }),
      };
      await unaryCall(address, 'UpdateSeedPeer', { signal, timeoutMs: UNARY_TIMEOUT_MS }, (call) =>
        client.updateSeedPeer(request, call),
      );
    },
    keepAlive: ({ hostname, ip, clusterId }, intervalMs, call) =>
      keepAliveAt({ client, address }, { sourceType, hostname, ip, clusterId: BigInt(clusterId) }, intervalMs, call),
    [Symbol.dispose]: () => connection[Symbol.dispose](),
  };
}

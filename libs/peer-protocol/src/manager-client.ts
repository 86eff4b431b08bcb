import { createClient } from '@connectrpc/connect';
import { manager } from '@d7y/api';
import type { GrpcConnectionOptions, GrpcTarget } from './grpc-connection.ts';
import { createGrpcConnection } from './grpc-connection.ts';
import { unaryCall } from './unary-call.ts';

/** Deadline of every unary call, as stock clients have it. */
const UNARY_TIMEOUT_MS = 10_000;

/** How a daemon describes itself to a manager that chooses schedulers for it. */
export interface SchedulerSearch {
  readonly isSeed: boolean;
  readonly hostname: string;
  readonly ip: string;
  readonly idc: string | undefined;
  readonly location: string | undefined;
  readonly version: string;
  readonly commit: string;
  /** Pins the cluster; undefined lets the manager choose by the rest. */
  readonly schedulerClusterId: number | undefined;
}

/** A scheduler as a manager lists it. */
export interface ListedScheduler {
  readonly ip: string;
  readonly port: number;
  readonly clusterId: bigint;
  /** JSON texts of the cluster's settings for daemons and for seeds; empty when there are none. */
  readonly clientConfig: string;
  readonly seedClientConfig: string;
}

/** A manager, seen from a daemon. */
export interface ManagerClient extends Disposable {
  /** `host:port`, for logs. */
  readonly address: string;
  /** In the order in which the manager prefers them. @throws {RpcError} */
  listSchedulers(search: SchedulerSearch, options: { signal: AbortSignal }): Promise<readonly ListedScheduler[]>;
}

/** Prepares a client of a manager; nothing is dialled before the first call. */
export function createManagerClient(target: GrpcTarget, options: GrpcConnectionOptions = {}): ManagerClient {
  const connection = createGrpcConnection(target, options);
  const { address } = connection;
  const client = createClient(manager.Manager, connection.transport);
  return {
    address,
    async listSchedulers({ isSeed, idc, location, schedulerClusterId, ...search }, { signal }) {
      const request = {
        ...search,
        sourceType: isSeed ? manager.SourceType.SEED_PEER_SOURCE : manager.SourceType.PEER_SOURCE,
        ...(idc === undefined ? {} : { idc }),
        ...(location === undefined ? {} : { location }),
        schedulerClusterId: BigInt(schedulerClusterId ?? 0),
      };
      const { schedulers } = await unaryCall(
        address,
        'ListSchedulers',
        { signal, timeoutMs: UNARY_TIMEOUT_MS },
        (call) => client.listSchedulers(request, call),
      );
      const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('utf8');
      return schedulers.map(({ ip, port, schedulerClusterId: clusterId, schedulerCluster }) => ({
        ...{ ip, port, clusterId },
        clientConfig: text(schedulerCluster?.clientConfig),
        seedClientConfig: text(schedulerCluster?.seedClientConfig),
      }));
    },
    [Symbol.dispose]: () => connection[Symbol.dispose](),
  };
}

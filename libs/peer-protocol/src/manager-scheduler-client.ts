import { Code, createClient } from '@connectrpc/connect';
import { manager } from '@d7y/api';
import type { GrpcConnectionOptions, GrpcTarget } from './grpc-connection.ts';
import { createGrpcConnection } from './grpc-connection.ts';
import { keepAliveAt } from './manager-keep-alive.ts';
import { RpcError } from './rpc-error.ts';
import { unaryCall } from './unary-call.ts';

/** Deadline of every unary call. */
const UNARY_TIMEOUT_MS = 10_000;

/** What a manager knows a scheduler by. */
export interface SchedulerName {
  readonly hostname: string;
  readonly ip: string;
  readonly clusterId: number;
}

/** What a scheduler tells of itself. */
export interface SchedulerRegistration extends SchedulerName {
  readonly port: number;
  readonly idc: string;
  readonly location: string;
  /** What it can do: `schedule`, `preheat`. */
  readonly features: readonly string[];
  readonly keepAliveIntervalMs: number;
}

/** Settings of a cluster as a manager has them: JSON texts, empty when there are none. */
export interface ManagedScheduler {
  readonly clusterConfig: string;
  readonly clientConfig: string;
  /** Of the first seed's cluster. */
  readonly seedPeerClusterConfig: string;
}

/** Downloads of an application by URL: the first pattern that fits decides, else `priority`. */
export interface ManagedApplication {
  readonly name: string;
  readonly priority: number;
  readonly urls: readonly { readonly regex: string; readonly priority: number }[];
}

/** A manager, seen from a scheduler. */
export interface SchedulerManagerClient extends Disposable {
  /** `host:port`, for logs. */
  readonly address: string;
  /** Makes the scheduler known, or known anew. @throws {RpcError} */
  register(registration: SchedulerRegistration, options: { signal: AbortSignal }): Promise<void>;
  /** @throws {RpcError} also when the manager does not know the scheduler */
  getScheduler(name: SchedulerName, options: { signal: AbortSignal }): Promise<ManagedScheduler>;
  /** Those with a priority; none where the manager does not have the call. @throws {RpcError} */
  listApplications(name: SchedulerName, options: { signal: AbortSignal }): Promise<readonly ManagedApplication[]>;
  /**
   * Says every `intervalMs` that the scheduler is alive, the first time at once, until the signal ends it.
   * @throws {RpcError} when the stream breaks
   */
  keepAlive(name: SchedulerName, intervalMs: number, options: { signal: AbortSignal }): Promise<void>;
}

const NANOSECONDS_PER_MS = 1_000_000;

/** Prepares a client of a manager; nothing is dialled before the first call. */
export function createSchedulerManagerClient(
  target: GrpcTarget,
  options: GrpcConnectionOptions = {},
): SchedulerManagerClient {
  const connection = createGrpcConnection(target, options);
  const { address } = connection;
  const client = createClient(manager.Manager, connection.transport);
  const call = <T>(name: string, signal: AbortSignal, run: Parameters<typeof unaryCall<T>>[3]) =>
    unaryCall(address, name, { signal, timeoutMs: UNARY_TIMEOUT_MS }, run);
  const sourceType = manager.SourceType.SCHEDULER_SOURCE;
  return {
    address,
    async register({ clusterId, features, keepAliveIntervalMs, idc, location, ...self }, { signal }) {
      const config = JSON.stringify({
        manager_keep_alive_interval: Math.round(keepAliveIntervalMs * NANOSECONDS_PER_MS),
      });
      const request = {
        ...{ ...self, sourceType, schedulerClusterId: BigInt(clusterId), features: [...features] },
        ...(idc === '' ? {} : { idc }),
        ...(location === '' ? {} : { location }),
        config: new TextEncoder().encode(config),
      };
      await call('UpdateScheduler', signal, (choices) => client.updateScheduler(request, choices));
    },
    async getScheduler({ hostname, ip, clusterId }, { signal }) {
      const request = { sourceType, hostname, ip, schedulerClusterId: BigInt(clusterId) };
      const { schedulerCluster, seedPeers } = await call('GetScheduler', signal, (choices) =>
        client.getScheduler(request, choices),
      );
      return {
        clusterConfig: textOf(schedulerCluster?.config),
        clientConfig: textOf(schedulerCluster?.clientConfig),
        seedPeerClusterConfig: textOf(seedPeers[0]?.seedPeerCluster?.config),
      };
    },
    async listApplications({ hostname, ip }, { signal }) {
      try {
        const { applications } = await call('ListApplications', signal, (choices) =>
          client.listApplications({ sourceType, hostname, ip }, choices),
        );
        return applications.map(({ name, priority }) => ({
          name,
          priority: priority?.value ?? 0,
          urls: (priority?.urls ?? []).map(({ regex, value }) => ({ regex, priority: value })),
        }));
      } catch (error) {
        if (error instanceof RpcError && (error.status === Code.NotFound || error.status === Code.Unimplemented))
          return [];
        throw error;
      }
    },
    keepAlive: ({ hostname, ip, clusterId }, intervalMs, choices) =>
      keepAliveAt({ client, address }, { sourceType, hostname, ip, clusterId: BigInt(clusterId) }, intervalMs, choices),
    [Symbol.dispose]: () => connection[Symbol.dispose](),
  };
}

const textOf = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('utf8');

import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { Code, createClient } from '@connectrpc/connect';
import { common, health, scheduler, swarm } from '@d7y/api';
import type { Logger } from '@d7y/service-kit';
import type { AnnouncementLimits } from './announce-peer.ts';
import { ANNOUNCEMENT_LIMITS, openAnnouncement } from './announce-peer.ts';
import type { GrpcConnectionOptions } from './grpc-connection.ts';
import { createGrpcConnection } from './grpc-connection.ts';
import { isServing } from './health-check.ts';
import { Greeting } from './hello.ts';
import { RpcError } from './rpc-error.ts';
import type { SchedulerClient } from './scheduler.ts';
import { streamCall, unaryCall } from './unary-call.ts';

/** Deadline of every unary call, as stock clients have it. */
export const UNARY_TIMEOUT_MS = 10_000;

export interface SchedulerClientOptions extends GrpcConnectionOptions {
  readonly address: { readonly host: string; readonly port: number };
  /** Ours, as announced. */
  readonly hostId: string;
  /** Version of this program, told to schedulers of ours. */
  readonly version: string;
  readonly features?: readonly string[] | undefined;
  readonly logger: Logger;
  readonly unaryTimeoutMs?: number | undefined;
  readonly announcementLimits?: Partial<AnnouncementLimits> | undefined;
}

/** Prepares a client of one scheduler; nothing is dialled before the first call. */
export function createSchedulerClient(options: SchedulerClientOptions): SchedulerClient {
  const { hostId, logger } = options;
  const connection = createGrpcConnection(options.address, options);
  const { address, transport } = connection;
  const client = createClient(scheduler.Scheduler, transport);
  const healthClient = createClient(health.Health, transport);
  const swarmClient = createClient(swarm.SwarmService, transport);
  const greeting = new Greeting(swarmClient, {
    instanceId: hostId,
    version: options.version,
    features: options.features ?? [],
  });
  const limits = { ...ANNOUNCEMENT_LIMITS, ...options.announcementLimits };
  const deadline = ({ signal }: { signal: AbortSignal }) => ({
    signal,
    timeoutMs: options.unaryTimeoutMs ?? UNARY_TIMEOUT_MS,
  });

  return {
    address,
    announcePeer: (registration, { signal }) =>
      openAnnouncement({ client, address, registration, limits, logger, signal }),
    async announceHost(host, intervalMs, callOptions) {
      const request = create(scheduler.AnnounceHostRequestSchema, { host, interval: durationFromMs(intervalMs) });
      await unaryCall(address, 'AnnounceHost', deadline(callOptions), (call) => client.announceHost(request, call));
    },
    async deleteHost(callOptions) {
      await unaryCall(address, 'DeleteHost', deadline(callOptions), (call) => client.deleteHost({ hostId }, call));
    },
    async listHosts(type, callOptions) {
      const request = type === undefined ? {} : { type };
      const { hosts } = await unaryCall(address, 'ListHosts', deadline(callOptions), (call) =>
        client.listHosts(request, call),
      );
      return hosts;
    },
    async statTask(taskId, callOptions): Promise<common.Task | undefined> {
      try {
        return await unaryCall(address, 'StatTask', deadline(callOptions), (call) =>
          client.statTask({ hostId, taskId }, call),
        );
      } catch (error) {
        if (error instanceof RpcError && error.status === Code.NotFound) return undefined;
        throw error;
      }
    },
    async deleteTask(taskId, callOptions) {
      await unaryCall(address, 'DeleteTask', deadline(callOptions), (call) =>
        client.deleteTask({ hostId, taskId }, call),
      );
    },
    checkHealth: (callOptions) => isServing(healthClient, callOptions),
    hello: (callOptions) => unaryCall(address, 'Hello', deadline(callOptions), (call) => greeting.exchange(call)),
    openLink: (requests, callOptions) =>
      streamCall(address, 'Link', callOptions, (call) => swarmClient.link(requests, call)),
    [Symbol.asyncDispose]: () => {
      connection[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}

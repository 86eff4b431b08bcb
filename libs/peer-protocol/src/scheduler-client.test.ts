import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { ConnectRouter, ServiceImpl } from '@connectrpc/connect';
import { describe, expect, it } from '@jest/globals';
import { common, health, scheduler, swarm } from '@d7y/api';
import { startGrpcServer } from './_grpc.ts';
import { logger, startRawParent } from './_rig.ts';
import { toHostMessage } from './host-message.ts';
import type { SchedulerClientOptions } from './scheduler-client.ts';
import { createSchedulerClient } from './scheduler-client.ts';

const signal = new AbortController().signal;
const clientOf = (port: number, options: Partial<SchedulerClientOptions> = {}) =>
  createSchedulerClient({ address: { host: '127.0.0.1', port }, hostId: 'me', version: '1', logger, ...options });
const serving =
  (implementation: Partial<ServiceImpl<typeof scheduler.Scheduler>>) =>
  (router: ConnectRouter): void => {
    router.service(scheduler.Scheduler, implementation);
  };

describe('createSchedulerClient', () => {
  it('announces the host with the interval', async () => {
    const seen: scheduler.AnnounceHostRequest[] = [];
    await using server = await startGrpcServer(serving({ announceHost: (request) => (seen.push(request), {}) }));
    await using client = clientOf(server.port);
    const host = toHostMessage({
      ...{ id: 'me', isSeed: false, hostname: 'h', ip: '10.0.0.1', port: 4000, downloadPort: 4000 },
    });
    await client.announceHost(host, 300_000, { signal });
    expect(seen[0]).toMatchObject({ host: { id: 'me', port: 4000 }, interval: { seconds: 300n } });
  });

  it('speaks of its own host in deletions and questions', async () => {
    const seen: unknown[] = [];
    await using server = await startGrpcServer(
      serving({
        deleteHost: ({ hostId }) => (seen.push(['host', hostId]), {}),
        deleteTask: ({ hostId, taskId }) => (seen.push(['task', hostId, taskId]), {}),
        statTask({ hostId, taskId }) {
          if (taskId === 'unknown') throw new ConnectError('no such task', Code.NotFound);
          return create(common.TaskSchema, { id: taskId, tag: hostId });
        },
        listHosts: ({ type }) => ({ hosts: [{ id: `type ${type ?? 'any'}` }] }),
      }),
    );
    await using client = clientOf(server.port);
    await client.deleteHost({ signal });
    await client.deleteTask('t', { signal });
    expect(seen).toEqual([
      ['host', 'me'],
      ['task', 'me', 't'],
    ]);
    expect(await client.statTask('t', { signal })).toMatchObject({ id: 't', tag: 'me' });
    expect(await client.statTask('unknown', { signal })).toBeUndefined();
    expect(await client.listHosts(1, { signal })).toMatchObject([{ id: 'type 1' }]);
    expect(await client.listHosts(undefined, { signal })).toMatchObject([{ id: 'type any' }]);
  });

  it('tells serving from not serving and from gone', async () => {
    const { SERVING, NOT_SERVING } = health.HealthCheckResponse_ServingStatus;
    let status: health.HealthCheckResponse_ServingStatus = SERVING;
    const server = await startGrpcServer((router) => router.service(health.Health, { check: () => ({ status }) }));
    await using client = clientOf(server.port);
    expect(await client.checkHealth({ signal })).toBe(true);
    status = NOT_SERVING;
    expect(await client.checkHealth({ signal })).toBe(false);
    await server[Symbol.asyncDispose]();
    expect(await client.checkHealth({ signal })).toBe(false);
  });

  it('recognises a scheduler of ours', async () => {
    const seen: swarm.HelloRequest[] = [];
    await using server = await startGrpcServer((router) =>
      router.service(swarm.SwarmService, {
        hello: (request) => (seen.push(request), { instanceId: '10.0.0.9:8002', version: '2', features: ['x'] }),
      }),
    );
    await using client = clientOf(server.port, { features: ['y'] });
    expect(await client.hello({ signal })).toEqual({ instanceId: '10.0.0.9:8002', version: '2', features: ['x'] });
    expect(seen[0]).toMatchObject({ instanceId: 'me', version: '1', features: ['y'] });
  });

  it('asks a stock scheduler only once', async () => {
    let asked = 0;
    await using server = await startGrpcServer((router) =>
      router.service(swarm.SwarmService, {
        hello() {
          asked += 1;
          throw new ConnectError('unknown service', Code.Unimplemented);
        },
      }),
    );
    await using client = clientOf(server.port);
    expect(await client.hello({ signal })).toBeUndefined();
    expect(await client.hello({ signal })).toBeUndefined();
    expect(asked).toBe(1);
  });

  it('reads a missing path as a stock scheduler, an absent one as an error', async () => {
    const server = await startGrpcServer(() => undefined);
    await using client = clientOf(server.port);
    expect(await client.hello({ signal })).toBeUndefined();
    await server[Symbol.asyncDispose]();
    await using other = clientOf(server.port);
    await expect(other.hello({ signal })).rejects.toMatchObject({ code: 'RPC_FAILED', retryable: true });
  });

  it('gives a unary call its deadline', async () => {
    await using server = await startGrpcServer(
      serving({
        deleteTask: (_request, context) =>
          new Promise((_resolve, reject) => context.signal.addEventListener('abort', () => reject(new Error('late')))),
      }),
    );
    await using client = clientOf(server.port, { unaryTimeoutMs: 20 });
    await expect(client.deleteTask('t', { signal })).rejects.toMatchObject({ status: Code.DeadlineExceeded });
  });

  it('rejects with the reason of its signal', async () => {
    await using server = await startGrpcServer(
      serving({
        deleteTask: (_request, context) =>
          new Promise((_resolve, reject) => context.signal.addEventListener('abort', () => reject(new Error('late')))),
      }),
    );
    await using client = clientOf(server.port);
    const controller = new AbortController();
    const call = client.deleteTask('t', { signal: controller.signal });
    controller.abort(new Error('the caller left'));
    await expect(call).rejects.toThrow('the caller left');
    await expect(client.deleteTask('t', { signal: controller.signal })).rejects.toThrow('the caller left');
  });

  it('uses one connection, and a new one after the scheduler came back', async () => {
    const routes = serving({ deleteTask: () => ({}) });
    let server = await startGrpcServer(routes);
    const { port } = server;
    await using client = clientOf(port);
    await Promise.all([client.deleteTask('a', { signal }), client.deleteTask('b', { signal })]);
    await client.deleteTask('c', { signal });
    expect(server.connectionCount).toBe(1);
    await server[Symbol.asyncDispose]();
    await expect(client.deleteTask('d', { signal })).rejects.toMatchObject({ retryable: true });
    server = await startGrpcServer(routes, { port });
    await client.deleteTask('e', { signal });
    expect(server.connectionCount).toBe(1);
    await server[Symbol.asyncDispose]();
  });

  it('gives up on a server that accepts but speaks no HTTP/2', async () => {
    await using silent = await startRawParent((socket) => socket.resume());
    await using client = clientOf(silent.port, { unaryTimeoutMs: 30 });
    await expect(client.deleteTask('t', { signal })).rejects.toMatchObject({ status: Code.DeadlineExceeded });
  });

  it('runs the interceptors around every call', async () => {
    const seen: (string | null)[] = [];
    await using server = await startGrpcServer(
      serving({ deleteTask: (_request, { requestHeader }) => (seen.push(requestHeader.get('traceparent')), {}) }),
    );
    await using client = clientOf(server.port, {
      interceptors: [
        (next) => (request) => {
          request.header.set('traceparent', '00-1-2-01');
          return next(request);
        },
      ],
    });
    await client.deleteTask('t', { signal });
    expect(seen).toEqual(['00-1-2-01']);
  });
});

import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { dfdaemon, swarm } from '@d7y/api';
import { createRulesInterceptor } from '@d7y/message-rules';
import { createOriginClient } from '@d7y/origin-client';
import { DEFAULT_ENGINE_OPTIONS, Engine, NoSpaceError } from '@d7y/peer-engine';
import {
  createParentClientPool,
  createPieceClient,
  createSchedulerClient,
  packetIdOf,
  type PieceServer,
  startPieceServer,
} from '@d7y/peer-protocol';
import { openPieceStore, type PieceStore, type PieceStoreOptions } from '@d7y/piece-store';
import {
  AccessPolicy,
  createRegistryProxy,
  listenProxy,
  type ListeningProxy,
  REGISTRY_PROXY_DEFAULTS,
} from '@d7y/registry-proxy';
import {
  BufferPool,
  createClientInterceptors,
  createHealth,
  createHttpHandler,
  createLogger,
  createMetrics,
  createTelemetry,
  describeSystemError,
  listen,
  type Logger,
  type LogLevel,
  metricsHandler,
  StartError,
} from '@d7y/service-kit';
import { originTls, registryPolicies } from './config/registry-policies.ts';
import type { DfdaemonConfig } from './config/schema.ts';
import { HostFacts } from './host/host-facts.ts';
import { identityOf } from './host/identity.ts';
import { NetworkMeter } from './host/network-meter.ts';
import { CountedEngine } from './observe/counted-engine.ts';
import { DaemonMetrics } from './observe/daemon-metrics.ts';
import { type DaemonStatus, statusOf } from './observe/status.ts';
import { downloadService } from './rpc/download-service.ts';
import { TaskAdmin } from './rpc/local-tasks.ts';
import { LONG_STREAMS, swarmService, uploadService } from './rpc/upload-service.ts';
import { schedulerAddresses } from './scheduler/dynconfig.ts';
import { SchedulerDirectory } from './scheduler/scheduler-directory.ts';
import { PersistentSeedMemory } from './scheduler/seed-memory.ts';
import { ChildTraces } from './upload/child-traces.ts';
import { parentsOverNetwork } from './upload/engine-parents.ts';
import { piecesOfEngine } from './upload/engine-pieces.ts';
import { Uploads } from './upload/uploads.ts';
import { VERSION } from './version.ts';

/** Bytes of one buffer: reads and writes of this size keep the disk busy without a call per chunk. */
const BUFFER_BYTES = 256 * 1024;
/** How often schedulers' health is checked: one that comes back is used again this soon. */
const SCHEDULER_CHECK_INTERVAL_MS = 3_000;
/** How often schedulers are asked for their seeds. */
const SEED_INTERVAL_MS = 30_000;
/** For saying goodbye to schedulers. */
const LEAVE_TIMEOUT_MS = 2_000;
/** How long RPCs and uploads under way may go on when the daemon stops. */
const DRAIN_MS = 5_000;
const ACCESS_PROBE_TIMEOUT_MS = 20_000;

/** What tests and the all-in-one program replace. */
export interface DfdaemonOverrides {
  readonly logger?: Logger;
  /** Name in logs and traces; `dfdaemon`, or `seed-peer` for a seed, unless given. */
  readonly name?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Standard metrics of the process, which in one process only one service should count. */
  readonly processMetrics?: boolean;
  readonly schedulerCheckIntervalMs?: number;
  readonly seedIntervalMs?: number;
}

export interface StartDfdaemonOptions {
  readonly signal: AbortSignal;
  readonly overrides?: DfdaemonOverrides;
  /** Least severe level that is logged; as configured unless given. */
  readonly logLevel?: LogLevel | undefined;
  /** One line each, from reading the configuration. */
  readonly warnings?: readonly string[];
}

/** A daemon, or a seed peer, at work. */
export interface RunningDfdaemon extends AsyncDisposable {
  readonly hostId: string;
  readonly socketPath: string;
  readonly ports: {
    readonly upload: number;
    readonly proxy: number;
    readonly piece: number;
    /** Undefined when it is not enabled. */
    readonly metrics: number | undefined;
    readonly health: number;
  };
  status(): Promise<DaemonStatus>;
  /** Removes a task from this host and from its scheduler's list of who has it. */
  deleteTask(taskId: string, options: { signal: AbortSignal }): Promise<void>;
}

/**
 * Starts a daemon; it serves when the promise resolves, with or without a scheduler. Everything is built here, once, in the order in
 * which it is needed, and given back in reverse.
 * @throws {StartError} a port is taken, a directory cannot be used, a certificate cannot be read
 */
export async function startDfdaemon(
  config: DfdaemonConfig,
  { signal, overrides = {}, logLevel, warnings = [] }: StartDfdaemonOptions,
): Promise<RunningDfdaemon> {
  signal.throwIfAborted();
  await using stack = new AsyncDisposableStack();
  const startedAtMs = Date.now();
  const identity = identityOf(config, overrides.env ?? process.env);
  const { hostId } = identity;
  const name = overrides.name ?? (identity.isSeed ? 'seed-peer' : 'dfdaemon');
  const logger =
    overrides.logger ??
    createLogger({ name, level: logLevel ?? (config.verbose ? 'debug' : 'info'), console: config.console });
  for (const warning of warnings) logger.warn(warning);

  const { tracing, network } = config;
  const telemetry = stack.use(
    createTelemetry({
      serviceName: `${name}-${identity.ip}`,
      endpoint: tracing.endpoint,
      protocol: tracing.protocol,
      path: tracing.path,
      headers: tracing.headers,
      sampleRatio: tracing.sampleRatio,
      attributes: {
        'service.version': VERSION,
        'service.instance.id': hostId,
        'host.name': identity.hostname,
        'host.ip': identity.ip,
        'host.seed_peer': identity.isSeed,
        ...(config.host.idc === undefined ? {} : { 'host.idc': config.host.idc }),
        ...(config.host.location === undefined ? {} : { 'host.location': config.host.location }),
      },
    }),
  );
  const { tracer } = telemetry;
  const registry = createMetrics({ processMetrics: overrides.processMetrics ?? true });
  const interceptors = createClientInterceptors({ telemetry, metrics: registry });
  const lifetime = new AbortController();
  const anyAddress = network.enableIPv6 ? '::' : '0.0.0.0';

  // What is on disk.
  const gcPolicy = config.gc.policy;
  const store = stack.use(
    await openedStore({
      dir: config.storage.dir,
      keep: config.storage.keep,
      logger,
      policy: {
        taskTtlMs: gcPolicy.taskTTL,
        highWatermarkPercent: gcPolicy.diskHighThresholdPercent,
        lowWatermarkPercent: gcPolicy.diskLowThresholdPercent,
        ...(gcPolicy.diskThreshold > 0 ? { diskThresholdBytes: gcPolicy.diskThreshold } : {}),
      },
      onEvict: (taskId) => forgetTask(taskId),
    }),
  );
  const metrics = new DaemonMetrics(registry.registry, {
    version: VERSION,
    gauges: {
      disk: async () => {
        const { capacityBytes, usedBytes } = await store.usage();
        return { totalBytes: capacityBytes, usedBytes };
      },
    },
  });

  // Where content comes from: origins, and other daemons.
  const policies = await registryPolicies(config);
  const origin = stack.use(
    createOriginClient({
      logger,
      tracer,
      tls: originTls(policies),
      userAgent: `dragonfly/${VERSION}`,
      retry: { maxRetries: config.backend.maxRetries },
    }),
  );
  const buffers = (share: number): BufferPool =>
    new BufferPool({
      bufferBytes: BUFFER_BYTES,
      maxBuffers: Math.max(8, Math.floor((config.memory.bufferBytes * share) / BUFFER_BYTES)),
    });
  const parentClients = stack.use(createParentClientPool({ hostId, version: VERSION, interceptors }));
  const parents = parentsOverNetwork({
    clients: parentClients,
    pieceClient: createPieceClient({ bufferPool: buffers(1 / 4), packetId: packetIdOf(hostId) }),
    hostId,
    logger,
    lifetime: lifetime.signal,
  });

  // Whom to ask.
  const facts = new HostFacts({ identity, config, network: new NetworkMeter(identity.ip), version: VERSION });
  const seeds = await PersistentSeedMemory.open(join(resolve(config.storage.dir), 'seeds.json'), hostId, logger);
  const announced = { upload: config.upload.server.port, proxy: config.proxy.server.port };
  const directory = stack.use(
    new SchedulerDirectory({
      addresses: () => schedulerAddresses(config),
      connect: (address) =>
        createSchedulerClient({ address: parseAddress(address), hostId, version: VERSION, interceptors, logger }),
      describeHost: () => facts.describe(announced),
      seeds,
      refreshIntervalMs: config.dynconfig.refreshInterval,
      checkIntervalMs: overrides.schedulerCheckIntervalMs ?? SCHEDULER_CHECK_INTERVAL_MS,
      announceIntervalMs: config.scheduler.announceInterval,
      seedIntervalMs: overrides.seedIntervalMs ?? SEED_INTERVAL_MS,
      logger,
    }),
  );

  const engine = stack.use(
    new Engine(
      {
        host: identity,
        store,
        origin,
        schedulers: directory,
        seeds,
        parents,
        readBuffers: buffers(1 / 2),
        tracer,
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
      { ...DEFAULT_ENGINE_OPTIONS, concurrentPieceCount: config.download.concurrentPieceCount },
    ),
  );
  const counted = new CountedEngine(engine, metrics);
  const pieces = piecesOfEngine(engine, store);

  // What others get from here.
  const traces = new ChildTraces();
  const { disableShared } = config.upload;
  const uploads = new Uploads({ store, pieces: engine, traces, tracer, metrics, disableShared });
  const pieceServer: PieceServer = stack.use(
    await listening(() =>
      startPieceServer({
        host: config.storage.server.ip ?? anyAddress,
        port: config.storage.server.tcpPort,
        source: uploads,
        bufferPool: buffers(1 / 4),
        logger,
      }),
    ),
  );
  const admin = new TaskAdmin({ store, engine, uploads, schedulers: directory });
  const access = new AccessPolicy({ ...REGISTRY_PROXY_DEFAULTS, origin, probeTimeoutMs: ACCESS_PROBE_TIMEOUT_MS });
  const rpc = { engine: counted, store, pieces, access, identity, logger, admin };
  const health = createHealth();
  const shared = {
    interceptors: [createRulesInterceptor()],
    logger,
    telemetry,
    metrics: registry,
    health,
    drainMs: DRAIN_MS,
  };
  const uploadListener = stack.use(
    await listen({
      ...shared,
      host: config.upload.server.ip ?? anyAddress,
      port: config.upload.server.port,
      grpc: (router) => {
        router.service(
          dfdaemon.DfdaemonUpload,
          uploadService({
            ...{ ...rpc, traces, facts, disableShared },
            pieceServer: { ip: identity.ip, tcpPort: pieceServer.port },
            lifetime: lifetime.signal,
          }),
        );
        router.service(swarm.SwarmService, swarmService({ hostId, version: VERSION }));
      },
      longStreams: LONG_STREAMS,
    }),
  );
  announced.upload = uploadListener.port;

  // What this machine gets from here.
  const status = async (): Promise<DaemonStatus> => {
    const usage = await store.usage();
    return statusOf({
      ...{ version: VERSION, hostId, isSeed: identity.isSeed, startedAtMs },
      isStopping: () => lifetime.signal.aborted,
      schedulers: () => directory.status(),
      active: () => engine.active(),
      counts: () => counted.counts,
      cache: () => ({ tasks: usage.taskCount, bytes: usage.usedBytes }),
      received: () => metrics.received,
      uploadedBytes: () => uploads.totalBytes,
    });
  };
  const { socketPath, socketMode } = config.download.server;
  await makeDirectory(dirname(socketPath));
  stack.use(
    await listen({
      ...shared,
      path: socketPath,
      mode: socketMode,
      grpc: (router) =>
        void router.service(
          dfdaemon.DfdaemonDownload,
          downloadService({ ...rpc, leave: (options) => directory.leave(options) }),
        ),
      http: createHttpHandler([
        {
          method: 'GET',
          path: '/status',
          handler: async (_request, response) => {
            const body = JSON.stringify(await status());
            response
              .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
              .end(body);
          },
        },
      ]),
    }),
  );
  const { server, registryMirror } = config.proxy;
  const proxy = stack.use(
    createRegistryProxy({
      engine: counted,
      origin,
      access,
      config: {
        ...REGISTRY_PROXY_DEFAULTS,
        mirrorAddr: registryMirror.addr,
        dynamic: registryMirror.dynamic,
        registries: policies,
        enableTaskIdBasedBlobDigest: registryMirror.enableTaskIDBasedBlobDigest,
        disableBackToSource: config.proxy.disableBackToSource,
        serverIp: identity.ip,
      },
      rules: config.proxy.rules,
      logger,
      tracer,
      metrics,
    }),
  );
  const proxyListener: ListeningProxy = stack.use(
    await listening(() =>
      listenProxy(proxy.handle, {
        host: server.ip,
        port: server.port,
        headerTimeoutMs: config.proxy.headerTimeout,
        idleTimeoutMs: config.proxy.idleTimeout,
        drainMs: config.proxy.drainTimeout,
      }),
    ),
  );
  announced.proxy = proxyListener.port;

  // What operators get from here. Health comes last: whoever sees it may use all the rest.
  const plain = (
    ip: string | undefined,
    port: number,
    path: string,
    handler: Parameters<typeof createHttpHandler>[0][number]['handler'],
  ) =>
    listen({
      host: ip ?? anyAddress,
      port,
      http: createHttpHandler([{ method: 'GET', path, handler }]),
      logger,
      drainMs: 0,
    });
  const metricsListener = config.metrics.enable
    ? stack.use(await plain(config.metrics.server.ip, config.metrics.server.port, '/metrics', metricsHandler(registry)))
    : undefined;
  for (const service of [dfdaemon.DfdaemonUpload, dfdaemon.DfdaemonDownload]) health.set(service.typeName, 'SERVING');
  const healthListener = stack.use(
    await plain(config.health.server.ip, config.health.server.port, '/healthy', (_request, response) => {
      response.writeHead(200, { 'content-length': '0' }).end();
    }),
  );

  const collectGarbage = (): void => {
    store.collectGarbage().catch((error: unknown) => logger.warn({ err: error }, 'garbage collection failed'));
  };
  const gcTimer = setInterval(collectGarbage, config.gc.interval);
  stack.defer(() => clearInterval(gcTimer));
  directory.start();
  stack.defer(async () => {
    lifetime.abort(new DOMException('the daemon is stopping', 'AbortError'));
    await directory.leave({ signal: AbortSignal.timeout(LEAVE_TIMEOUT_MS) });
  });
  const ports = {
    upload: uploadListener.port,
    proxy: proxyListener.port,
    piece: pieceServer.port,
    metrics: metricsListener?.port,
    health: healthListener.port,
  };
  logger.info({ hostId, ports, socketPath, version: VERSION }, `${name} is serving`);

  const running = stack.move();
  return {
    ...{ hostId, socketPath, ports, status },
    deleteTask: (taskId, options) => admin.delete(taskId, options),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };

  /** An evicted task: its scheduler learns that it is no longer to be had here. */
  function forgetTask(taskId: string): void {
    uploads.forget(taskId);
    const [scheduler] = directory.clientsFor(taskId);
    scheduler
      ?.deleteTask(taskId, { signal: lifetime.signal })
      .catch((error: unknown) => logger.debug({ taskId, err: error }, 'a scheduler was not told of an eviction'));
  }
}

/** Says in one line why a server cannot listen. @throws {StartError} */
async function listening<T>(start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    const line = describeSystemError(error);
    throw line === undefined ? error : new StartError(line, { cause: error });
  }
}

/** @throws {StartError} with the key to change, where the disk is full */
async function openedStore(options: PieceStoreOptions): Promise<PieceStore> {
  try {
    return await openPieceStore(options);
  } catch (error) {
    if (!(error instanceof NoSpaceError)) throw error;
    const where = resolve(options.dir);
    throw new StartError(`${where}: no space left on the device, free some or configure another storage.dir`, {
      cause: error,
    });
  }
}

async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o755 }).catch((error: unknown) => {
    throw new StartError(describeSystemError(error) ?? `${path}: cannot be made`, { cause: error });
  });
}

function parseAddress(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) };
}

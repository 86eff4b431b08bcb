import type { Database } from '@d7y/manager-db';
import {
  ApplicationRepository,
  PeerRepository,
  SchedulerRepository,
  SeedPeerRepository,
  TaskHistoryRepository,
} from '@d7y/manager-db';
import { createRulesInterceptor, guardOf } from '@d7y/message-rules';
import { SwarmListing } from '@d7y/peer-protocol';
import type { HttpHandler, Logger, Secret, Telemetry, TlsIdentityFiles } from '@d7y/service-kit';
import {
  createClientInterceptors,
  createHealth,
  createHttpHandler,
  createLogger,
  createMetrics,
  createTelemetry,
  linkedSignal,
  listen,
  metricsHandler,
  sendLine,
  TlsIdentity,
  tracingOf,
} from '@d7y/service-kit';
import { hostname } from 'node:os';
import type { ManagerConfig } from './config/read-manager-config.ts';
import { Leadership, type LeaderTask } from './leader/leadership.ts';
import { rememberTasksTask } from './leader/remember-tasks.ts';
import { retentionTasks } from './leader/retention.ts';
import { syncPeersTask } from './leader/sync-peers.ts';
import { createManagerMetrics } from './observe/manager-metrics.ts';
import type { Readiness } from './observe/readiness.ts';
import { watchState } from './observe/watch-state.ts';
import { SchedulerConnections } from './rest/swarm/scheduler-connections.ts';
import { CallLimit } from './rpc/call-limit.ts';
import { registerManager } from './rpc/index.ts';
import { KeepAlives } from './rpc/keep-alive.ts';
import { ClusterWatch } from './search/cluster-watch.ts';
import { DatabaseSource } from './search/database-source.ts';
import { SchedulerLists } from './search/scheduler-lists.ts';
import { makeRows } from './start/first-start.ts';
import { openManagerDatabase } from './start/open-database.ts';
import { openRest } from './start/open-rest.ts';
import { VERSION } from './version.ts';

/** Requests under way may end; streams of schedulers are told at once and come back to another manager, or to the next one here. */
const DRAIN_MS = 10_000;
/** A connection without calls is closed after this, as stock managers do. */
const IDLE_CONNECTION_MS = 600_000;

/** For the tasks of all schedulers together, which nobody waits for. */
const TASKS_DEADLINE_MS = 60_000;
/** Schedulers that tell of their tasks at once. */
const TASKS_PARALLEL = 8;
const TASKS_PAUSE_MS = 50;

/** What tests and the all-in-one program replace. */
export interface ManagerOverrides {
  readonly logger?: Logger;
  /** Epoch milliseconds. */
  readonly clock?: () => number;
  /** How often the version of the clusters is asked for. */
  readonly watchIntervalMs?: number;
  /** How often a manager that does not lead tries to. */
  readonly leaderTryMs?: number;
  /** Standard metrics of the process, which in one process only one service should count. */
  readonly processMetrics?: boolean;
  /** Gets the random password of root when that user is made; standard error by default. */
  readonly tellRootPassword?: (password: Secret) => void;
}

export interface StartManagerOptions {
  readonly signal: AbortSignal;
  readonly overrides?: ManagerOverrides;
}

/** A manager at work. */
export interface RunningManager extends AsyncDisposable {
  readonly grpcPort: number;
  /** REST, `/healthy`, `/readyz` and `/swagger/`. */
  readonly restPort: number;
  /** /metrics, /healthy and /readyz; undefined when metrics are not enabled. */
  readonly metricsPort: number | undefined;
  /** The gRPC calls are answered, and the tables are there. */
  readonly isReady: boolean;
  readonly isLeader: boolean;
}

/**
 * Starts a manager; it serves when the promise resolves. Before that it waits for the database, brings its tables up to date, one manager at
 * a time, and makes the rows that it cannot do without.
 * @throws {StartError} the database cannot be used, a port is taken, a certificate is unusable
 */
export async function startManager(
  config: ManagerConfig,
  { signal, overrides = {} }: StartManagerOptions,
): Promise<RunningManager> {
  signal.throwIfAborted();
  await using stack = new AsyncDisposableStack();
  const { server } = config;
  const clock = overrides.clock ?? Date.now;
  const logger = overrides.logger ?? createLogger({ name: 'manager', level: server.logLevel, console: config.console });
  const telemetry = stack.use(createManagerTelemetry(config));
  const metrics = createMetrics({ processMetrics: overrides.processMetrics ?? true });
  const counters = createManagerMetrics(metrics.registry);
  const stopping = stack.use(linkedSignal(signal));
  const identity = readIdentity('server.grpc.tls', server.grpc.tls, { stack, logger });

  // Listens first, so that whoever watches the process sees that it lives while it waits for the database.
  let isReady = false;
  let readiness = (): Promise<Readiness> => Promise.resolve({ isReady: false, says: 'not ready' });
  const metricsListener =
    config.metrics.listen === undefined
      ? undefined
      : stack.use(
          await listen({
            ...config.metrics.listen,
            logger,
            http: createHttpHandler([
              { method: 'GET', path: '/metrics', handler: metricsHandler(metrics) },
              { method: 'GET', path: '/healthy', handler: (_request, response) => sendLine(response, 200, 'OK') },
              { method: 'GET', path: '/readyz', handler: readyz(() => readiness()) },
            ]),
          }),
        );

  const database: Database = stack.use(await openManagerDatabase(config, { logger, signal: stopping.signal }));
  await makeRows(database, config, {
    ...{ logger, now: new Date(clock()) },
    tellRootPassword: overrides.tellRootPassword ?? printRootPassword,
  });

  const watch = await ClusterWatch.start({
    ...{ source: new DatabaseSource(database), clock, logger },
    ...(overrides.watchIntervalMs !== undefined && { intervalMs: overrides.watchIntervalMs }),
  });
  const lists = new SchedulerLists((problem) => logger.warn({ problem }, 'a block list is not sent as it was written'));
  const schedulers = new SchedulerRepository(database.db);
  const seedPeers = new SeedPeerRepository(database.db);
  const peers = new PeerRepository(database.db);
  const keepAlives = new KeepAlives({ schedulers, seedPeers, clock, logger, stopping: stopping.signal });
  const limit = new CallLimit(server.grpc.requestRateLimit, () => performance.now());
  // Who proves itself to callers proves itself to schedulers.
  const schedulerConnection = {
    tls: identity === undefined ? undefined : () => identity.current,
    interceptors: createClientInterceptors({ telemetry, metrics }),
  };
  const connections = stack.use(new SchedulerConnections(schedulerConnection));
  const tasks: LeaderTask[] = [
    ...retentionTasks({ database, config, clock, logger }),
    rememberTasksTask({
      listing: new SwarmListing({
        async schedulers() {
          const active = watch.view.activeSchedulers();
          return await Promise.resolve(
            active.map(({ clusterId, ...one }) => ({ ...one, schedulerClusterId: clusterId })),
          );
        },
        connect: (ip, port) => connections.to(ip, port),
        ...{
          logger,
          deadlineMs: TASKS_DEADLINE_MS,
          maxParallel: TASKS_PARALLEL,
          pauseMs: TASKS_PAUSE_MS,
          maxRows: config.taskHistory.maxTasks,
        },
      }),
      ...{ history: new TaskHistoryRepository(database.db), intervalMs: config.taskHistory.interval, clock },
    }),
    syncPeersTask({
      ...{
        view: () => watch.view,
        peers,
        settings: config.job.syncPeers,
        clock,
        logger,
      },
      connection: schedulerConnection,
    }),
  ];
  const leadership = new Leadership({
    ...{ database, tasks, logger },
    ...(overrides.leaderTryMs !== undefined && { tryIntervalMs: overrides.leaderTryMs }),
    onRun: (task, error) => counters.leaderRuns.inc({ task, result: error === undefined ? 'success' : 'failure' }),
  });
  watchState(metrics.registry, { watch, lists, keepAlives, database, leadership, peers });

  const health = createHealth();
  const listener = stack.use(
    await listen({
      ...server.grpc.listen,
      grpc: (router) =>
        registerManager(router, {
          ...{ watch, lists, schedulers, seedPeers, limit, keepAlives, clock, logger },
          applications: new ApplicationRepository(database.db),
          onSearch: (caller, isAnswered) => counters.search(caller, isAnswered),
        }),
      interceptors: [limit.interceptor, createRulesInterceptor()],
      guardOf,
      ...{
        tls: identity,
        logger,
        telemetry,
        metrics,
        health,
        reflection: true,
        drainMs: DRAIN_MS,
        idleTimeoutMs: IDLE_CONNECTION_MS,
      },
    }),
  );
  const rest = stack.use(
    await openRest(config, {
      ...{ database, watch, logger, telemetry, metrics, clock, signal: stopping.signal, isServing: () => isReady },
      identity: readIdentity('server.rest.tls', server.rest.tls, { stack, logger }),
      schedulerIdentity: identity,
    }),
  );
  readiness = rest.readiness;
  const background = new AbortController();
  const working = [
    watch.run({ signal: background.signal }),
    ...(config.leaderElection.enable ? [leadership.run({ signal: background.signal })] : []),
  ];
  stack.defer(async () => {
    background.abort();
    await Promise.all(working);
  });
  // Last in, first out: from here on nobody counts as gone whose stream we end, and nobody new is sent here.
  stack.defer(() => {
    isReady = false;
    health.set('', 'NOT_SERVING');
    stopping.abort(new DOMException('the manager is stopping', 'AbortError'));
  });
  isReady = true;
  for (const warning of config.warnings) logger.warn(warning);
  logger.info(
    { address: listener.address, rest: rest.address, version: VERSION, name: server.name },
    'manager is serving',
  );

  const running = stack.move();
  return {
    grpcPort: listener.port,
    restPort: rest.port,
    metricsPort: metricsListener?.port,
    get isReady() {
      return isReady;
    },
    get isLeader() {
      return leadership.isLeader;
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function createManagerTelemetry({ tracing, server }: ManagerConfig): Telemetry {
  return createTelemetry({
    ...tracingOf(tracing),
    attributes: {
      'service.namespace': 'dragonfly',
      'service.version': VERSION,
      'host.name': hostname(),
      'host.ip': server.grpc.advertiseIP,
    },
  });
}

const readyz =
  (look: () => Promise<Readiness>): HttpHandler =>
  async (_request, response) => {
    const { isReady, says } = await look();
    sendLine(response, isReady ? 200 : 503, says);
  };

/** Not as a log line: logs are kept, and keep secrets out. */
function printRootPassword(password: Secret): void {
  process.stderr.write(`The user root was made. Its password, not shown again: ${password.reveal()}\n`);
}

/** Certificates under one key of the configuration, read anew when their files change. @throws {StartError} */
function readIdentity(
  section: string,
  files: TlsIdentityFiles | undefined,
  { stack, logger }: { readonly stack: AsyncDisposableStack; readonly logger: Logger },
): TlsIdentity | undefined {
  return files === undefined ? undefined : stack.use(new TlsIdentity(files, { section, logger }));
}

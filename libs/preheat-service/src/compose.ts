import type { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { AuditRepository, JobRepository, JobWork, openDatabase, PeerRepository, Sealer } from '@d7y/manager-db';
import { createOriginClient } from '@d7y/origin-client';
import { type Connect, ImageReader } from '@d7y/preheat';
import { type AdvanceJob, type DoLayer, postgresTlsOf, queueAddressOf, QueueWorkers } from '@d7y/preheat-queue';
import {
  certificatesIn,
  contextFromTraceparent,
  createClientInterceptors,
  createHttpHandler,
  createLogger,
  createMetrics,
  createTelemetry,
  delay,
  isChainWithinLimits,
  linkedSignal,
  listen,
  type Logger,
  metricsHandler,
  sendLine,
  StartError,
  TlsIdentity,
  type TlsIdentityFiles,
  tracingOf,
  UpstreamGuard,
  withSpan,
} from '@d7y/service-kit';
import { Counter, Gauge } from 'prom-client';
import { type ClusterHost, ClusterHosts } from './cluster/cluster-hosts.ts';
import { Connections } from './cluster/connections.ts';
import { createSwarmLists } from './cluster/swarm-lists.ts';
import type { WorkerConfig } from './config/schema.ts';
import type { JobContext } from './jobs/context.ts';
import { advanceOther } from './jobs/other-jobs.ts';
import { advancePreheat } from './jobs/preheat-job.ts';
import { doLayer } from './jobs/preheat-layer.ts';
import { VERSION } from './version.ts';

/** What tests and the all-in-one program replace. */
export interface WorkerOverrides {
  readonly logger?: Logger;
  readonly processMetrics?: boolean;
}

/** A preheat worker at work. */
export interface RunningPreheatWorker extends AsyncDisposable {
  /** `/metrics`, `/healthy`, `/readyz`. */
  readonly port: number;
}

/** How often clusters that were added are looked for. */
const CLUSTERS_INTERVAL_MS = 10_000;
/** How often jobs that nobody wants any more are looked for, should nobody have told. */
const WANTED_INTERVAL_MS = 5_000;

/** Starts a worker; it works when the promise resolves. @throws {StartError} the database or a port cannot be had */
export async function startPreheatWorker(
  config: WorkerConfig,
  { signal, overrides = {} }: { readonly signal: AbortSignal; readonly overrides?: WorkerOverrides },
): Promise<RunningPreheatWorker> {
  signal.throwIfAborted();
  await using stack = new AsyncDisposableStack();
  const { database: stores, preheat, worker, tracing } = config;
  const logger =
    overrides.logger ?? createLogger({ name: 'preheat-worker', level: config.logLevel, console: config.console });
  const telemetry = stack.use(
    createTelemetry({
      ...tracingOf(tracing),
      attributes: { 'service.namespace': 'dragonfly', 'service.version': VERSION, 'host.name': hostname() },
    }),
  );
  const metrics = createMetrics({ processMetrics: overrides.processMetrics ?? true });
  const stopping = stack.use(linkedSignal(signal));
  const { postgres } = stores;
  const database = stack.use(
    await openDatabase({
      address: { ...postgres, database: postgres.dbname },
      tls: postgresTlsOf(postgres),
      maxConnections: postgres.poolSize,
      patienceMs: postgres.connectTimeout,
      applicationName: 'dragonfly-preheat-worker',
      onIdleError: (error) => logger.warn({ err: error }, 'a connection to the database broke'),
      signal,
    }),
  );
  const work = new JobWork(database);
  const interceptors = createClientInterceptors({ telemetry, metrics });
  const schedulerTls = readIdentity('scheduler.tls', config.scheduler.tls, { stack, logger });
  const peerTls = readIdentity('peer.tls', config.peer.tls, { stack, logger }) ?? schedulerTls;
  const tlsOf = (identity: TlsIdentity | undefined) => (identity === undefined ? undefined : () => identity.current);
  const schedulers = stack.use(new Connections({ interceptors, tls: tlsOf(schedulerTls) }));
  const daemons = stack.use(new Connections({ interceptors, tls: tlsOf(peerTls) }));
  const connect: Connect<ClusterHost> = (host) => daemons.to(host);
  const guard = new UpstreamGuard({ ...preheat.upstreams, refusePrivate: !preheat.allowPrivateNetworks });
  const reader = stack.use(
    new ImageReader({
      guard,
      createOrigin: (tls) =>
        createOriginClient({ guard, tls, logger, tracer: telemetry.tracer, userAgent: `dragonfly/${VERSION}` }),
      insecureRegistries: preheat.insecureRegistries,
      remedy: 'see preheat in the configuration of the preheat worker',
    }),
  );
  const targets = new Counter({
    name: 'dragonfly_preheat_worker_target_total',
    help: 'Layers brought to hosts, by outcome',
    labelNames: ['outcome'],
    registers: [metrics.registry],
  });
  const certificates = certificatesOf(preheat.tls.caCert);
  if (!isChainWithinLimits(certificates.map(({ raw }) => raw))) {
    logger.warn(
      { certificates: certificates.length },
      'preheat.tls.caCert is more than daemons take with a download: registries have to be in their own proxy.registries[].cert',
    );
  }
  const context: JobContext = {
    ...{ work, reader, connect, telemetry, logger, maxLayers: preheat.maxLayers, remoteIp: worker.advertiseIP },
    ...{ peers: new PeerRepository(database.db), audits: new AuditRepository(database.db) },
    jobs: new JobRepository(database.db),
    hosts: new ClusterHosts({ work, connect: (address) => schedulers.to(address) }),
    listing: createSwarmLists({ work, connect: (address) => schedulers.to(address), logger }),
    unsealer: config.secrets.key === undefined ? NO_KEY : new Sealer(config.secrets.key),
    trust: { certificates, insecureSkipVerify: preheat.tls.insecureSkipVerify },
    byDigest: preheat.enableTaskIDBasedBlobDigest,
    defaultPlatforms: preheat.defaultPlatforms,
    retentionMs: config.retention,
    onTarget: (outcome) => targets.inc({ outcome }),
  };
  const queue = stack.use(
    new QueueWorkers({
      address: queueAddressOf(stores),
      logger,
      lockMs: worker.lock,
      stalledIntervalMs: worker.stalledInterval,
    }),
  );
  stack.defer(() => queue.stop(worker.grace));
  new Gauge({
    name: 'dragonfly_preheat_worker_jobs',
    help: 'Jobs that are worked on here',
    registers: [metrics.registry],
    collect() {
      this.set(queue.jobIds.size);
    },
  });
  const traced = { advance: advanceOther(context), preheat: advancePreheat(context), layer: doLayer(context) };
  const advance =
    (step: AdvanceJob): AdvanceJob =>
    (message, run) =>
      withSpan(
        telemetry.tracer,
        message.type,
        { parent: contextFromTraceparent(message.traceparent), attributes: { 'd7y.job.id': message.jobId } },
        () => step(message, run),
      );
  const layer: DoLayer = (message, run) =>
    withSpan(
      telemetry.tracer,
      'preheat layer',
      {
        parent: contextFromTraceparent(message.traceparent),
        attributes: { 'd7y.job.id': message.jobId, 'd7y.cluster.id': message.clusterId, 'd7y.task.id': message.taskId },
      },
      () => traced.layer(message, run),
    );
  queue.workOnJobs('jobs', advance(traced.preheat), worker.jobs);
  queue.workOnJobs('maintenance', advance(traced.advance), worker.jobs);
  const watchClusters = async (): Promise<void> => {
    const ids = worker.clusters.length > 0 ? worker.clusters : await work.clusterIds();
    for (const id of ids) queue.workOnLayers(id, layer, worker.layers);
  };
  const watchWanted = async (): Promise<void> => {
    const ids = [...queue.jobIds];
    const wanted = await work.stillWanted(ids);
    for (const id of ids) if (!wanted.has(id)) queue.cancel(id);
  };
  await watchClusters();
  repeat(stack, CLUSTERS_INTERVAL_MS, watchClusters, logger, stopping.signal);
  repeat(stack, WANTED_INTERVAL_MS, watchWanted, logger, stopping.signal);
  const listener = stack.use(
    await listen({
      ...(config.metrics.host === undefined ? {} : { host: config.metrics.host }),
      port: config.metrics.port,
      logger,
      http: createHttpHandler([
        { method: 'GET', path: '/metrics', handler: metricsHandler(metrics) },
        { method: 'GET', path: '/healthy', handler: (_request, response) => sendLine(response, 200, 'OK') },
        {
          method: 'GET',
          path: '/readyz',
          handler: async (_request, response) => {
            const isReady = await Promise.all([database.ping(), queue.ready()]).then(
              () => true,
              () => false,
            );
            sendLine(response, isReady ? 200 : 503, isReady ? 'OK' : 'the database or the queue does not answer');
          },
        },
      ]),
    }),
  );
  stack.defer(() => stopping.abort(new DOMException('the preheat worker stops', 'AbortError')));
  for (const warning of config.warnings) logger.warn(warning);
  logger.info(
    { port: listener.port, clusters: worker.clusters, queue: stores.redis === undefined ? 'postgres' : 'redis' },
    'preheat worker started',
  );
  const running = stack.move();
  return { port: listener.port, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

const NO_KEY = {
  open(): never {
    throw new StartError('secrets.key: not set, so credentials of jobs cannot be used');
  },
};

/** @param text PEM, or the name of a file with it @throws {StartError} */
function certificatesOf(text: string): readonly X509Certificate[] {
  if (text === '') return [];
  try {
    return certificatesIn(text.includes('-----BEGIN') ? text : readFileSync(text, 'utf8'));
  } catch (cause) {
    throw new StartError(`preheat.tls.caCert: ${cause instanceof Error ? cause.message : ''}`, { cause });
  }
}

function readIdentity(
  section: string,
  files: TlsIdentityFiles | undefined,
  { stack, logger }: { stack: AsyncDisposableStack; logger: Logger },
) {
  return files === undefined ? undefined : stack.use(new TlsIdentity(files, { section, logger }));
}

/** Does something now and then; what fails is tried again the next time. */
function repeat(
  stack: AsyncDisposableStack,
  intervalMs: number,
  work: () => Promise<void>,
  logger: Logger,
  signal: AbortSignal,
): void {
  const loop = (async () => {
    while (!signal.aborted) {
      await delay(intervalMs, { signal, unref: true }).catch(() => undefined);
      if (!signal.aborted)
        await work().catch((error: unknown) => logger.warn({ err: error }, 'the database does not answer'));
    }
  })();
  stack.defer(() => loop);
}

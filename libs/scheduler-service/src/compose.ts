import { createRulesInterceptor, guardOf } from '@d7y/message-rules';
import type { Logger, TlsIdentityFiles } from '@d7y/service-kit';
import {
  createClientInterceptors,
  createHealth,
  createHttpHandler,
  createLogger,
  createMetrics,
  createTelemetry,
  delay,
  linkedSignal,
  listen,
  metricsHandler,
  TlsIdentity,
  UpstreamGuard,
  tracingOf,
} from '@d7y/service-kit';
import { createOriginClient } from '@d7y/origin-client';
import type { GrpcConnectionOptions } from '@d7y/peer-protocol';
import { type Connect, ImageReader } from '@d7y/preheat';
import type { SwarmLimits, SwarmOptions, UpstreamRules } from '@d7y/swarm';
import { DEFAULT_SWARM_OPTIONS, DEFAULT_UPSTREAM_RULES, Swarm, upstreamPolicy } from '@d7y/swarm';
import { Access } from './access/access.ts';
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';
import type { SchedulerConfig } from './config/read-scheduler-config.ts';
import { LinkHub } from './link/link-hub.ts';
import { createLinkMetrics } from './link/link-metrics.ts';
import { MessageWriter } from './messages/message-writer.ts';
import { OfferWriter } from './messages/offer-writer.ts';
import { Records } from './messages/records.ts';
import { createSchedulerMetrics, watchSwarm } from './metrics.ts';
import { LONG_STREAMS, registerServices } from './rpc/index.ts';
import { PeerReports } from './scheduling/peer-reports.ts';
import { Admission } from './rpc/admission.ts';
import { createCallLimit, StreamQuota, watchAdmission } from './rpc/overload.ts';
import { preheatHosts } from './preheat/preheat-hosts.ts';
import { Preheater } from './preheat/preheater.ts';
import { HostProber } from './scheduling/host-prober.ts';
import { SeedConnections } from './scheduling/seed-connections.ts';
import { SwarmDriver } from './scheduling/swarm-driver.ts';
import type { ClusterSettings } from './dynconfig/cluster-settings.ts';
import { createDynconfig } from './dynconfig/create-dynconfig.ts';
import { watchDynconfig } from './dynconfig/dynconfig-metrics.ts';
import { SwarmMemory } from './state/swarm-memory.ts';
import type { SwarmMemoryOptions } from './state/swarm-memory.ts';
import { VERSION } from './version.ts';

const TICK_MS = 100;
/** Vouchers travel together with those that come within this time. */
const LINK_BATCH_MS = 4;
const LINK_EXPIRY_INTERVAL_MS = 60_000;
const PROBE_TIMEOUT_MS = 2_000;
/** Between two health checks of a seed. */
const SEED_PROBE_INTERVAL_MS = 10_000;
/** The same for a seed that was announced a moment ago and does not answer yet: stock daemons announce themselves before they listen. */
const NEW_SEED_PROBE_INTERVAL_MS = 500;
const NEW_SEED_MS = 60_000;
/** A seed may be busy with one large piece of a slow origin; after this it is given up. */
const SEED_SILENCE_MS = 300_000;
/** A connection without calls is closed after this, as stock schedulers do; one with calls lives on, since our daemons keep one stream for good. */
const IDLE_CONNECTION_MS = 600_000;
/** Streams are cut off at once, pulls go on without them; only calls under way are waited for. */
const DRAIN_MS = 500;
/** For daemons to hear that we stop, before their streams are cut. */
const DRAIN_NOTICE_MS = 50;

/** What tests and the all-in-one program replace. */
export interface SchedulerOverrides {
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  readonly swarm?: Partial<SwarmOptions>;
  readonly tickMs?: number;
  readonly seedProbeIntervalMs?: number;
  readonly newSeedProbeIntervalMs?: number;
  readonly seedSilenceMs?: number;
  /** Standard metrics of the process, which in one process only one service should count. */
  readonly processMetrics?: boolean;
}

export interface StartSchedulerOptions {
  readonly signal: AbortSignal;
  readonly overrides?: SchedulerOverrides;
}

/** A scheduler at work. */
export interface RunningScheduler extends AsyncDisposable {
  /** gRPC, and /metrics over HTTP. */
  readonly port: number;
  /** /metrics alone; undefined when it is not enabled. */
  readonly metricsPort: number | undefined;
}

/** Starts a scheduler; it serves when the promise resolves. @throws {StartError} a port is taken, a certificate is unusable */
export async function startScheduler(
  config: SchedulerConfig,
  { signal, overrides = {} }: StartSchedulerOptions,
): Promise<RunningScheduler> {
  signal.throwIfAborted();
  await using stack = new AsyncDisposableStack();
  const { server } = config;
  const clock = overrides.clock ?? systemClock;
  const random = overrides.random ?? Math.random;
  const logger =
    overrides.logger ?? createLogger({ name: 'scheduler', level: server.logLevel, console: config.console });

  const instanceId = `${bracketed(server.advertiseIP)}:${server.advertisePort ?? server.port}`;
  const telemetry = stack.use(
    createTelemetry({
      ...tracingOf(config.tracing),
      attributes: {
        'service.namespace': 'dragonfly',
        'service.version': VERSION,
        'host.name': server.host,
        'host.ip': server.advertiseIP,
      },
    }),
  );
  const metrics = createMetrics({ processMetrics: overrides.processMetrics ?? true });
  const counters = createSchedulerMetrics(metrics.registry, { perHost: config.metrics.enableHost });

  const stopping = stack.use(linkedSignal(signal));
  const ownIdentity = readIdentity('server.tls', server.tls, { stack, logger });
  const clientIdentity = readIdentity('seedPeer.tls', config.seedPeer.tls, { stack, logger });
  const peerIdentity = readIdentity('peer.tls', config.peer.tls, { stack, logger }) ?? clientIdentity;
  const managerIdentity = readIdentity('manager.tls', config.manager?.tls, { stack, logger });
  const interceptors = createClientInterceptors({ telemetry, metrics });
  const connection: GrpcConnectionOptions = { tls: tlsSourceOf(clientIdentity), interceptors };
  const seeds = stack.use(new SeedConnections(connection));
  const swarm = new Swarm({ ...swarmOptions(config), ...overrides.swarm }, random, clock());
  watchSwarm(metrics.registry, swarm);
  const settings = await createDynconfig({
    ...{ config, clock, logger, stack, signal: stopping.signal },
    connection: { tls: tlsSourceOf(managerIdentity), interceptors },
    onChange: (said) => swarm.adjust(limitsOf(config, said, overrides.swarm)),
  });
  const { dynconfig } = settings;
  watchDynconfig(metrics.registry, dynconfig);
  const records = new Records();
  const writer = new MessageWriter(records);
  const offers = new OfferWriter(writer);
  const prober = new HostProber({
    connectionTo: ({ kind }) => ({ tls: tlsSourceOf(kind === 'seed' ? clientIdentity : peerIdentity) }),
    timeoutMs: PROBE_TIMEOUT_MS,
    signal: stopping.signal,
    onResult: (hostId, isHealthy) => {
      const host = swarm.host(hostId);
      // Nodes come and go; without a seed the swarm has nobody to fetch first.
      const level = host?.facts.kind === 'seed' ? 'warn' : 'info';
      if (!isHealthy && host?.state.kind !== 'lost')
        logger[level]({ hostId }, 'a host does not answer its health check');
      driver.tell((core, nowMs) => core.hostProbed(hostId, isHealthy, nowMs));
    },
  });
  const driver = new SwarmDriver({
    ...{ swarm, clock, records, telemetry, logger },
    metrics: counters,
    connect: ({ ip, port }) => seeds.to(ip, port),
    probe: (host) => prober.probe(host),
    seedSilenceMs: overrides.seedSilenceMs ?? SEED_SILENCE_MS,
    signal: stopping.signal,
  });

  const memory = stack.use(
    config.scheduler.state.enable
      ? await openMemory({ dataDir: server.dataDir, swarm, driver, records, logger })
      : undefined,
  );
  const access = new Access({
    isAuthenticated: server.tls !== undefined,
    bindHosts: config.access.bindHosts,
    operators: config.access.operators,
  });
  const reports = new PeerReports({
    ...{ driver, records, metrics: counters, logger },
    priorities: () => dynconfig.priorities,
  });
  const hub = stack.use(
    new LinkHub({
      ...{ driver, reports, records, telemetry, instanceId, logger },
      ...{ batchMs: LINK_BATCH_MS, wallClock: Date.now },
    }),
  );
  const linkMetrics = createLinkMetrics(metrics.registry, hub);

  const peers = stack.use(new SeedConnections({ tls: tlsSourceOf(peerIdentity), interceptors }));
  const connectToHost: Connect = ({ kind, ip, port }) => (kind === 'seed' ? seeds : peers).to(ip, port);
  const preheater = new Preheater({
    ...{ connect: connectToHost, telemetry, logger, signal: stopping.signal, ip: server.advertiseIP },
    hosts: () => preheatHosts(swarm.hosts()),
    byDigest: config.preheat.enableTaskIDBasedBlobDigest,
    onOutcome: (outcome) => {
      counters.preheatTasks.attempt();
      if (outcome === 'failed') counters.preheatTasks.failure();
    },
  });
  const guard = new UpstreamGuard(config.preheat.upstreams);
  const imageReader = stack.use(
    new ImageReader({
      guard,
      createOrigin: (tls) =>
        createOriginClient({ guard, tls, logger, tracer: telemetry.tracer, userAgent: `dragonfly/${VERSION}` }),
      remedy: 'see preheat.upstreams in the configuration of the scheduler',
    }),
  );

  const admission = stack.use(new Admission({ perSecond: server.requestRateLimit, clock }));
  watchAdmission(metrics.registry, admission);
  const http = createHttpHandler([{ method: 'GET', path: '/metrics', handler: metricsHandler(metrics) }]);
  const metricsListener =
    config.metrics.listen === undefined
      ? undefined
      : stack.use(await listen({ ...config.metrics.listen, http, logger }));
  const listener = stack.use(
    await listen({
      host: server.listenIP ?? (config.network.enableIPv6 ? '::' : '0.0.0.0'),
      port: server.port,
      grpc: (router) =>
        registerServices(router, {
          ...{ driver, reports, records, writer, offers, telemetry, logger, metrics: counters, instanceId },
          ...{ hub, linkMetrics },
          onHostAnnounced: (host) => memory?.hostAnnounced(host),
          access,
          preheater,
          admission,
          quota: new StreamQuota(),
          imageReader,
          connectToHost,
        }),
      http,
      interceptors: [createCallLimit(admission), createRulesInterceptor()],
      guardOf,
      longStreams: LONG_STREAMS,
      tls: ownIdentity,
      logger,
      telemetry,
      metrics,
      health: createHealth(),
      reflection: true,
      drainMs: DRAIN_MS,
      idleTimeoutMs: IDLE_CONNECTION_MS,
    }),
  );
  stack.defer(async () => {
    hub.drain('the scheduler is stopping');
    await delay(DRAIN_NOTICE_MS);
  });
  // Last in, first out: no more deadlines and triggers while the listener closes.
  stack.defer(() => stopping.abort(new DOMException('the scheduler is stopping', 'AbortError')));
  repeat(stack, overrides.tickMs ?? TICK_MS, () => driver.tick());
  repeat(stack, LINK_EXPIRY_INTERVAL_MS, () => hub.expire());
  repeat(stack, overrides.seedProbeIntervalMs ?? SEED_PROBE_INTERVAL_MS, () => {
    for (const { facts } of swarm.seeds()) prober.probe(facts);
  });
  repeat(stack, overrides.newSeedProbeIntervalMs ?? NEW_SEED_PROBE_INTERVAL_MS, () => {
    for (const { facts, state, announcedAtMs } of swarm.seeds())
      if (state.kind === 'lost' && clock() - announcedAtMs < NEW_SEED_MS) prober.probe(facts);
  });
  settings.start();
  for (const warning of config.warnings) logger.warn(warning);
  logger.info({ address: listener.address, advertised: instanceId, version: VERSION }, 'scheduler is serving');

  const running = stack.move();
  return {
    port: listener.port,
    metricsPort: metricsListener?.port,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Without a directory to write to a scheduler works as well; it only begins anew after a restart. */
async function openMemory(options: SwarmMemoryOptions): Promise<SwarmMemory | undefined> {
  try {
    return await SwarmMemory.open(options);
  } catch (error) {
    options.logger.warn({ err: error, dir: options.dataDir }, 'nothing will be known after a restart');
    return undefined;
  }
}

function swarmOptions({ scheduler, seedPeer }: SchedulerConfig): Partial<SwarmOptions> {
  const { gc } = scheduler;
  return {
    ...(scheduler.algorithm === 'upstream' && { policy: upstreamPolicy(upstreamRules(scheduler)) }),
    originLeaseCount: scheduler.backToSourceCount,
    waitDeadlineMs: scheduler.originLeaseDeadline,
    maxWaitMs: 3 * scheduler.originLeaseDeadline,
    candidateParentLimit: scheduler.candidateParentLimit,
    ownCandidateParentLimit: scheduler.ownCandidateParentLimit,
    settleMs: scheduler.settleTime,
    seedsEnabled: seedPeer.enable,
    pieceSilenceMs: gc.pieceDownloadTimeout,
    peerGcIntervalMs: gc.peerGCInterval,
    peerTtlMs: gc.peerTTL,
    taskGcIntervalMs: gc.taskGCInterval,
    hostGcIntervalMs: gc.hostGCInterval,
    hostTtlMs: gc.hostTTL,
  };
}

/** What the cluster wants, else what the configuration says, else what the core takes. */
function limitsOf(
  { scheduler }: SchedulerConfig,
  { candidateParentLimit, filterParentLimit, loadLimit, seedLoadLimit }: ClusterSettings,
  overridden: Partial<SwarmOptions> = {},
): Required<SwarmLimits> {
  const { maxHostChildren, maxSeedChildren } = { ...DEFAULT_SWARM_OPTIONS, ...overridden };
  return {
    candidateParentLimit: candidateParentLimit ?? scheduler.candidateParentLimit,
    filterParentLimit: filterParentLimit ?? upstreamRules(scheduler).filterParentLimit,
    maxHostChildren: loadLimit ?? maxHostChildren,
    maxSeedChildren: seedLoadLimit ?? maxSeedChildren,
  };
}

function upstreamRules(scheduler: SchedulerConfig['scheduler']): UpstreamRules {
  return {
    backToSourceCount: scheduler.backToSourceCount,
    candidateParentLimit: scheduler.candidateParentLimit,
    retryBackToSourceLimit: scheduler.retryBackToSourceLimit ?? DEFAULT_UPSTREAM_RULES.retryBackToSourceLimit,
    retryLimit: scheduler.retryLimit ?? DEFAULT_UPSTREAM_RULES.retryLimit,
    retryIntervalMs: scheduler.retryInterval ?? DEFAULT_UPSTREAM_RULES.retryIntervalMs,
    filterParentLimit: scheduler.filterParentLimit ?? DEFAULT_UPSTREAM_RULES.filterParentLimit,
  };
}

function repeat(stack: AsyncDisposableStack, intervalMs: number, run: () => void): void {
  const timer = setInterval(run, intervalMs);
  stack.defer(() => clearInterval(timer));
}

/** Certificates under one key of the configuration, read anew when their files change. @throws {StartError} */
function readIdentity(
  section: string,
  files: TlsIdentityFiles | undefined,
  { stack, logger }: { readonly stack: AsyncDisposableStack; readonly logger: Logger },
): TlsIdentity | undefined {
  return files === undefined ? undefined : stack.use(new TlsIdentity(files, { section, logger }));
}

/** Certificates of the moment, for each connection anew. */
const tlsSourceOf = (identity: TlsIdentity | undefined) =>
  identity === undefined ? undefined : () => identity.current;

const bracketed = (ip: string): string => (ip.includes(':') ? `[${ip}]` : ip);

import type { AnswerOf, RequestOf } from '@d7y/manager-api';
import { OPENABLE } from '@d7y/manager-api';
import type { Database, PasswordHasher } from '@d7y/manager-db';
import { AuditRepository, JobRepository, PersonalAccessTokenRepository, SchedulerRepository } from '@d7y/manager-db';
import { type GrpcConnectionOptions, SwarmListing, type SwarmListingOptions } from '@d7y/peer-protocol';
import type { HttpHandler, Logger, Metrics, Secret, Telemetry } from '@d7y/service-kit';
import type { Readiness } from '../observe/readiness.ts';
import { AuditLog } from './audit/audit-log.ts';
import { AccessChanges } from './auth/access-changes.ts';
import { AccessMemory } from './auth/access-memory.ts';
import { AccessTokens } from './auth/access-tokens.ts';
import { Attempts } from './auth/attempts.ts';
import { Gate } from './auth/gate.ts';
import { accessSource, passwordsOf, sessionRecords } from './auth/records.ts';
import type { CookieSettings } from './auth/session-cookies.ts';
import { Sessions } from './auth/sessions.ts';
import type { Handlers } from './call.ts';
import type { EventLimits } from './events/event-streams.ts';
import { EventStreams } from './events/event-streams.ts';
import { EventIds } from './events/event-text.ts';
import { createFeeds } from './events/feeds.ts';
import { clusterHandlers } from './handlers/clusters.ts';
import { eventHandlers } from './handlers/events.ts';
import { jobHandlers } from './handlers/jobs.ts';
import { otherHandlers } from './handlers/others.ts';
import { peerHandlers } from './handlers/peers.ts';
import { personalAccessTokenHandlers } from './handlers/personal-access-tokens.ts';
import { roleHandlers } from './handlers/roles.ts';
import { schedulerHandlers } from './handlers/scheduler-clusters.ts';
import { seedPeerHandlers } from './handlers/seed-peers.ts';
import { swarmHandlers } from './handlers/swarm.ts';
import { userHandlers } from './handlers/users.ts';
import type { Jobs } from './jobs-port.ts';
import type { AppLimits } from './server/create-app.ts';
import { createApp } from './server/create-app.ts';
import { createRequestObserver } from './server/observe-requests.ts';
import type { CallOutcome } from './server/register-routes.ts';
import { registerRoutes } from './server/register-routes.ts';
import type { Services } from './services.ts';
import { SchedulerConnections } from './swarm/scheduler-connections.ts';

export interface RestOptions {
  readonly database: Database;
  readonly jobs: Jobs;
  readonly passwords: PasswordHasher;
  readonly auth: RestAuth;
  /** Which clusters a daemon belongs to, best first. */
  readonly matchClusters: (daemon: RequestOf<'clusters.match'>['query']) => AnswerOf<'clusters.match'>;
  /** Why a text is no pattern; undefined when it is one. */
  readonly patternProblemOf: (pattern: string) => string | undefined;
  /** How schedulers are called for what only they know. */
  readonly schedulers: GrpcConnectionOptions;
  readonly readiness: () => Promise<Readiness>;
  /** Told in `X-Server-IP`. */
  readonly serverIp: string;
  /** The listener that calls the handler speaks TLS. */
  readonly isTls: boolean;
  /** Addresses and networks of proxies in front, whose `X-Forwarded-*` is believed. */
  readonly trustedProxies: readonly string[];
  /** Sites whose pages may call, with credentials. */
  readonly allowedOrigins: readonly string[];
  readonly version: string;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  readonly metrics: Metrics;
  /** The manager stops: answers that last end, so that the listener need not wait for them. */
  readonly stopping: AbortSignal;
  /** Epoch milliseconds. */
  readonly clock?: () => number;
  readonly limits?: Partial<AppLimits>;
  readonly events?: Partial<EventSettings>;
  /** How long what one manager remembers of rights may be old when it was not told of a change. */
  readonly accessTtlMs?: number;
  /** Calls of open routes without credentials that one address may make in a minute. */
  readonly openCallsPerMinute?: number;
}

/** Of those who listen to events. */
export interface EventSettings extends EventLimits {
  /** From one look at jobs to the next, while somebody listens; and at what schedulers tell. */
  readonly jobsIntervalMs: number;
  readonly swarmIntervalMs: number;
}

export interface RestAuth {
  /** Signs sessions. Whether it is good enough is checked where it is read. */
  readonly key: Secret;
  readonly realm: string;
  /** Life of a session's token. */
  readonly accessLifetimeMs: number;
  /** How long a session can be continued without a password. */
  readonly maxRefreshMs: number;
  readonly isSignUpOpen: boolean;
  /** Names of routes that everybody may call: see `OPENABLE`. */
  readonly openRoutes: readonly string[];
  readonly cookie: CookieSettings;
  /** Wrong passwords of one name from one address. */
  readonly signInsPerMinute: number;
}

/** The REST interface, for a listener to call. */
export interface Rest extends AsyncDisposable {
  readonly handler: HttpHandler;
  /** The OpenAPI document. */
  document(): object;
  /** Writes what waits for the audit log. */
  flushAudits(): Promise<void>;
}

const LIMITS: AppLimits = { maxBodyBytes: 1024 * 1024, handlerTimeoutMs: 30_000, requestsPerClient: 1_000 };
const EVENTS: EventSettings = {
  ...{ maxStreams: 256, maxStreamsOfUser: 32, maxWaitingBytes: 2 * 1024 * 1024 },
  // Whose access cannot be asked for is cut off the second time: within a minute, with what is remembered of rights.
  ...{ heartbeatMs: 15_000, recheckMs: 20_000, retryMs: 3_000, endMs: 2_000 },
  ...{ jobsIntervalMs: 1_000, swarmIntervalMs: 2_000 },
};
/** Rows that are read of schedulers every few seconds; a thousand of them are shown. */
const MAX_ROWS_OF_EVENTS = 20_000;
const ACCESS_TTL_MS = 5_000;
const OPEN_CALLS_PER_MINUTE = 60;
const MINUTE_MS = 60_000;
/** Names that guess from one address, whatever the names. */
const SIGN_INS_PER_ADDRESS = 30;
const MAX_ATTEMPT_KEYS = 10_000;

/** Everything between an HTTP request and the parts of the manager. Listens to nothing itself; limits of connections are the listener's. */
export async function createRest(options: RestOptions): Promise<Rest> {
  const { database, auth, logger, metrics, passwords } = options;
  await using stack = new AsyncDisposableStack();
  const clock = options.clock ?? Date.now;
  const now = () => new Date(clock());
  const observer = createRequestObserver(options.telemetry, metrics);
  const app = await createApp({
    ...{ logger, observer, version: options.version, serverIp: options.serverIp, isTls: options.isTls },
    ...{ trustedProxies: options.trustedProxies, allowedOrigins: options.allowedOrigins },
    limits: { ...LIMITS, ...options.limits },
  });
  stack.defer(() => app.fastify.close());

  const source = new AccessMemory(accessSource(database), { ttlMs: options.accessTtlMs ?? ACCESS_TTL_MS });
  const changes = stack.use(new AccessChanges({ database, logger, onChange: () => source.forget() }));
  const tokens = new AccessTokens({
    ...{ key: auth.key, realm: auth.realm, lifetimeMs: auth.accessLifetimeMs, now: clock },
  });
  const audits = new AuditRepository(database.db);
  const log = stack.use(new AuditLog({ logger, metrics, write: (entries) => audits.add(entries, now()) }));
  const personalTokens = new PersonalAccessTokenRepository(database.db);
  const countOpenCall = app.fastify.createRateLimit({
    max: options.openCallsPerMinute ?? OPEN_CALLS_PER_MINUTE,
    timeWindow: MINUTE_MS,
  });
  const gate = new Gate({
    ...{ source, tokens, now: clock, allowedOrigins: options.allowedOrigins },
    openRoutes: openRoutes(auth.openRoutes),
    async countOpenCall(request) {
      const count = await countOpenCall(request);
      return !count.isAllowed && count.isExceeded ? { retryAfterMs: count.ttl } : undefined;
    },
    onTokenUsed: (tokenId) =>
      void personalTokens
        .noteUse(tokenId, now())
        .catch((error: unknown) => logger.debug({ err: error }, 'the use of a token is not remembered')),
  });
  const attempts = (limit: number) =>
    new Attempts({ limit, windowMs: MINUTE_MS, maxKeys: MAX_ATTEMPT_KEYS, now: () => performance.now() });
  const sessions = new Sessions({
    ...{ tokens, now: clock, maxRefreshMs: auth.maxRefreshMs, accessLifetimeMs: auth.accessLifetimeMs },
    records: sessionRecords(database, now),
    passwords: passwordsOf(passwords),
    attempts: attempts(auth.signInsPerMinute),
    attemptsPerAddress: attempts(SIGN_INS_PER_ADDRESS),
    onChange: () => changes.announce(),
  });
  const connections = stack.use(new SchedulerConnections(options.schedulers));
  const schedulers = new SchedulerRepository(database.db);
  const asked: SwarmListingOptions = {
    logger,
    connect: (ip, port) => connections.to(ip, port),
    async schedulers(schedulerClusterId) {
      const page = { offset: 0, limit: MAX_SCHEDULERS };
      return (await schedulers.page({ state: 'active', schedulerClusterId }, page, now())).rows;
    },
  };
  const listing = new SwarmListing(asked);
  const settings = { ...EVENTS, ...options.events };
  const { jobsIntervalMs, swarmIntervalMs } = settings;
  const ids = new EventIds();
  const jobRows = new JobRepository(database.db);
  const feeds = createFeeds({
    ...{ jobs: jobRows, ids, logger, jobsIntervalMs, swarmIntervalMs },
    listing: new SwarmListing({ ...asked, maxRowsTogether: MAX_ROWS_OF_EVENTS }),
  });
  const events = stack.use(new EventStreams({ feeds, ids, limits: settings, metrics, stopping: options.stopping }));
  const services: Services = {
    ...{ database, jobs: options.jobs, listing, events, sessions, passwords, gate, cookies: auth.cookie, now },
    passwordAttempts: attempts(auth.signInsPerMinute),
    isSignUpOpen: auth.isSignUpOpen,
    accessLifetimeMs: auth.accessLifetimeMs,
    matchClusters: options.matchClusters,
    patternProblemOf: options.patternProblemOf,
    accessChanged: () => changes.announce(),
    readiness: options.readiness,
  };
  registerRoutes(app.fastify, {
    gate,
    handlers: handlersOf(services),
    onOutcome: (outcome) => recordOutcome(log, gate, outcome, now()),
  });
  await app.fastify.ready();
  await changes.isListening;

  const running = stack.move();
  return {
    handler: app.handler,
    document: () => app.fastify.swagger(),
    flushAudits: () => log.flush(),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Schedulers that are asked for one listing. */
const MAX_SCHEDULERS = 1_000;

const handlersOf = (services: Services): Handlers => ({
  ...userHandlers(services),
  ...roleHandlers(services),
  ...clusterHandlers(services),
  ...schedulerHandlers(services),
  ...seedPeerHandlers(services),
  ...peerHandlers(services),
  ...jobHandlers(services),
  ...swarmHandlers(services),
  ...eventHandlers(services),
  ...personalAccessTokenHandlers(services),
  ...otherHandlers(services),
});

function openRoutes(names: readonly string[]): ReadonlySet<string> {
  for (const route of names) {
    if (!OPENABLE.has(route)) throw new Error(`there is no route ${route} that can be opened`);
  }
  return new Set(names);
}

function recordOutcome(log: AuditLog, gate: Gate, { id, request, status }: CallOutcome, operatedAt: Date): void {
  const actor = gate.actorOf(request);
  log.record({
    ...{ actorType: actor.type, actorName: actor.name.slice(0, 256), operation: request.method, operatedAt },
    ...{ state: status < 400 ? 'SUCCESS' : 'FAILURE', statusCode: status },
    path: (request.url.split('?', 1)[0] ?? '').slice(0, 1_024),
    detail: { route: id, ip: request.ip, request_id: request.id },
  });
}

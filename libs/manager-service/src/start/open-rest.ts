import type { Database } from '@d7y/manager-db';
import { PasswordHasher, Sealer } from '@d7y/manager-db';
import { queueAddressOf } from '@d7y/preheat-queue';
import type { Listener, Logger, Metrics, Secret, Telemetry, TlsIdentity } from '@d7y/service-kit';
import { createClientInterceptors, listen, UpstreamGuard } from '@d7y/service-kit';
import type { ManagerConfig } from '../config/read-manager-config.ts';
import { JobArgumentsError } from '../jobs/errors.ts';
import type { Seal } from '../jobs/job-desk.ts';
import { openJobs } from '../jobs/open-jobs.ts';
import { type Readiness, readinessOf } from '../observe/readiness.ts';
import { createRest } from '../rest/create-rest.ts';
import type { ClusterWatch } from '../search/cluster-watch.ts';
import { patternProblemOf } from '../search/patterns.ts';
import { VERSION } from '../version.ts';
import { matchesOf } from './cluster-matches.ts';

export interface OpenRestOptions {
  readonly database: Database;
  readonly watch: ClusterWatch;
  /** Of this manager, for browsers; undefined: no TLS. */
  readonly identity: TlsIdentity | undefined;
  /** By which schedulers know this manager, where they want to. */
  readonly schedulerIdentity: TlsIdentity | undefined;
  readonly isServing: () => boolean;
  readonly logger: Logger;
  readonly telemetry: Telemetry;
  readonly metrics: Metrics;
  readonly clock: () => number;
  readonly signal: AbortSignal;
}

export interface RunningRest extends Listener {
  /** What `/readyz` tells. */
  readonly readiness: () => Promise<Readiness>;
}

/** Until the headers of a request are there, and all of it. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const MAX_HEADER_BYTES = 16 * 1024;
const DRAIN_MS = 10_000;

/** Serves REST, and takes jobs in. @throws {StartError} the port is taken, a certificate cannot be read */
export async function openRest(config: ManagerConfig, options: OpenRestOptions): Promise<RunningRest> {
  const { database, watch, identity, schedulerIdentity, logger, telemetry, metrics, clock, signal } = options;
  const { auth, server } = config;
  const { preheat } = config.job;
  await using stack = new AsyncDisposableStack();
  const opened = stack.use(
    openJobs({
      ...{ database, logger, signal, registry: metrics.registry, address: queueAddressOf(config.database) },
      sealer: sealerOf(config.sealingKey),
      guard: new UpstreamGuard({ ...preheat.upstreams, refusePrivate: !preheat.allowPrivateNetworks }),
      clusterIds: () => Promise.resolve([...watch.view.clusters.keys()]),
    }),
  );
  const readiness = () =>
    readinessOf({ isServing: options.isServing, pingDatabase: () => database.ping(), pingQueue: () => opened.ping() });
  const rest = stack.use(
    await createRest({
      ...{ database, jobs: opened.jobs, logger, telemetry, metrics, clock, patternProblemOf, version: VERSION },
      stopping: signal,
      passwords: new PasswordHasher(),
      auth: {
        key: auth.jwt.key,
        realm: auth.jwt.realm,
        accessLifetimeMs: auth.jwt.timeout,
        maxRefreshMs: auth.jwt.maxRefresh,
        isSignUpOpen: auth.signup === 'open',
        openRoutes: auth.openRoutes,
        cookie: { secure: auth.cookie.secure ?? identity !== undefined, sameSite: auth.cookie.sameSite },
        signInsPerMinute: auth.signinPerMinute,
      },
      matchClusters: (daemon) => matchesOf(watch.view, daemon),
      schedulers: {
        tls: schedulerIdentity && (() => schedulerIdentity.current),
        interceptors: createClientInterceptors({ telemetry, metrics }),
      },
      readiness,
      serverIp: server.grpc.advertiseIP,
      isTls: identity !== undefined,
      trustedProxies: server.rest.trustProxy,
      allowedOrigins: config.cors.allowedOrigins,
    }),
  );
  const listener = stack.use(
    await listen({
      ...{ ...server.rest.addr, http: rest.handler, tls: identity, logger, drainMs: DRAIN_MS },
      http1: {
        headersTimeoutMs: HEADERS_TIMEOUT_MS,
        requestTimeoutMs: REQUEST_TIMEOUT_MS,
        maxHeaderBytes: MAX_HEADER_BYTES,
      },
    }),
  );
  const running = stack.move();
  const { port, address } = listener;
  return { port, address, readiness, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Without a key nothing can be sealed: jobs that bring credentials are refused. */
function sealerOf(key: Secret | undefined): Seal {
  if (key !== undefined) return new Sealer(key);
  return {
    seal() {
      throw new JobArgumentsError('credentials cannot be kept: this manager has no secrets.key');
    },
  };
}

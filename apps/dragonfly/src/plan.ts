import { join } from 'node:path';

/** One daemon of the local cluster. Everything listens on 127.0.0.1. */
export interface PlannedDaemon {
  /** Host name it announces. */
  readonly name: string;
  readonly isSeed: boolean;
  readonly proxyPort: number;
  readonly socketPath: string;
  /** For readDfdaemonConfig, as YAML (JSON is YAML). */
  readonly configText: string;
}

/** Where the manager listens, and what it keeps where. */
export interface PlannedManager {
  readonly grpcPort: number;
  readonly restPort: number;
  readonly metricsPort: number;
  /** Of the preheat worker. */
  readonly workerMetricsPort: number;
  /** Of the PostgreSQL that belongs to it. */
  readonly databaseFolder: string;
  /** Files with the keys that sign sessions and seal credentials. */
  readonly sessionKeyFile: string;
  readonly sealingKeyFile: string;
}

export interface ClusterPlan {
  readonly manager: PlannedManager;
  readonly schedulerPort: number;
  readonly schedulerConfigText: string;
  /** The seed peer first. */
  readonly daemons: readonly PlannedDaemon[];
  /** All that is listened on, at `host`. */
  readonly host: string;
  readonly ports: readonly number[];
}

export interface PlanOptions {
  readonly dataDir: string;
  /** First port of the first daemon; see `portsOf`. */
  readonly portBase: number;
  /** Endpoint for traces (OTLP over HTTP); none without. */
  readonly otlpEndpoint: string | undefined;
}

const LOOPBACK = '127.0.0.1';
/** Daemon n listens on a block of its own. */
const PORTS_PER_DAEMON = 100;
/** gRPC, mirror, metrics, health, pieces. */
const DAEMON_OFFSETS = [0, 1, 2, 3, 5] as const;
const NODES = ['node-1', 'node-2', 'node-3'] as const;
/** Where the scheduler's ports lie, counted from the first daemon's: 8002 and 8000 for the usual 4000. */
const SCHEDULER_OFFSET = { grpc: 4002, metrics: 4000 } as const;
/** Those of the manager: 8003, 8001 and 8080; and of the preheat worker: 8010. */
const MANAGER_OFFSET = { grpc: 4003, metrics: 4001, rest: 4080, workerMetrics: 4010 } as const;
/** Highest port the last service gets, counted from the base. */
export const PORT_SPAN = MANAGER_OFFSET.rest;
/** The only database in the PostgreSQL of the manager. */
export const MANAGER_DATABASE = 'manager';

/** Lays out a manager, a scheduler, a seed peer and three daemons: who listens where, who stores what. */
export function planCluster({ dataDir, portBase, otlpEndpoint }: PlanOptions): ClusterPlan {
  const schedulerPort = portBase + SCHEDULER_OFFSET.grpc;
  const managerPort = portBase + MANAGER_OFFSET.grpc;
  const manager = { addr: `${LOOPBACK}:${managerPort}` };
  const tracing = otlpEndpoint === undefined ? {} : { tracing: { protocol: 'http', endpoint: otlpEndpoint } };
  const plan = (name: string, index: number, isSeed: boolean): PlannedDaemon => {
    const base = portBase + index * PORTS_PER_DAEMON;
    const at = (offset: number) => ({ server: { ip: LOOPBACK, port: base + offset } });
    const socketPath = join(dataDir, 'run', `${name}.sock`);
    return {
      name,
      isSeed,
      proxyPort: base + 1,
      socketPath,
      configText: JSON.stringify({
        host: { ip: LOOPBACK, hostname: name },
        download: { server: { socketPath } },
        upload: at(0),
        proxy: { ...at(1), registryMirror: { enableTaskIDBasedBlobDigest: true } },
        metrics: at(2),
        health: at(3),
        storage: { dir: join(dataDir, name), server: { ip: LOOPBACK, tcpPort: base + 5 } },
        manager,
        seedPeer: { enable: isSeed },
        ...tracing,
      }),
    };
  };
  return {
    manager: {
      grpcPort: managerPort,
      restPort: portBase + MANAGER_OFFSET.rest,
      metricsPort: portBase + MANAGER_OFFSET.metrics,
      workerMetricsPort: portBase + MANAGER_OFFSET.workerMetrics,
      databaseFolder: join(dataDir, 'database'),
      sessionKeyFile: join(dataDir, 'manager', 'session.key'),
      sealingKeyFile: join(dataDir, 'manager', 'sealing.key'),
    },
    host: LOOPBACK,
    ports: [
      ...[...NODES, 'seed'].flatMap((_name, index) =>
        DAEMON_OFFSETS.map((offset) => portBase + index * PORTS_PER_DAEMON + offset),
      ),
      ...[...Object.values(SCHEDULER_OFFSET), ...Object.values(MANAGER_OFFSET)].map((offset) => portBase + offset),
    ],
    schedulerPort,
    schedulerConfigText: JSON.stringify({
      server: {
        advertiseIP: LOOPBACK,
        listenIP: LOOPBACK,
        port: schedulerPort,
        host: 'scheduler',
        dataDir: join(dataDir, 'scheduler'),
      },
      metrics: { enable: true, addr: `${LOOPBACK}:${portBase + SCHEDULER_OFFSET.metrics}` },
      manager,
      ...tracing,
    }),
    daemons: [plan('seed', NODES.length, true), ...NODES.map((name, index) => plan(name, index, false))],
  };
}

/**
 * For readManagerConfig, as YAML (JSON is YAML). What is opened here is opened to this machine alone, since nothing listens elsewhere.
 * @param database where PostgreSQL is; its password stays in its file
 */
export function managerConfigText(
  { manager }: ClusterPlan,
  database: { readonly host: string; readonly port: number; readonly user: string; readonly passwordFile: string },
  { otlpEndpoint }: Pick<PlanOptions, 'otlpEndpoint'>,
): string {
  return JSON.stringify({
    server: {
      grpc: { advertiseIP: LOOPBACK, listenIP: LOOPBACK, port: { start: manager.grpcPort } },
      rest: { addr: `${LOOPBACK}:${manager.restPort}` },
    },
    auth: { jwt: { keyFile: manager.sessionKeyFile }, openRoutes: OPEN_ROUTES },
    database: { postgres: { ...database, dbname: MANAGER_DATABASE } },
    secrets: { keyFile: manager.sealingKeyFile },
    job: { preheat: { allowPrivateNetworks: true } },
    metrics: { enable: true, addr: `${LOOPBACK}:${manager.metricsPort}` },
    ...(otlpEndpoint !== undefined && { tracing: { protocol: 'http', endpoint: otlpEndpoint } }),
  });
}

/** Variables in the configuration of the preheat worker that stand for what may not stand in its text. */
export const WORKER_SECRETS = { databasePassword: 'D7Y_DATABASE_PASSWORD', sealingKey: 'D7Y_SEALING_KEY' } as const;

/** For readPreheatWorkerConfig: the same database and keys as the manager's, and the queue in that database. */
export function workerConfigText(
  { manager }: ClusterPlan,
  database: { readonly host: string; readonly port: number; readonly user: string },
  { otlpEndpoint }: Pick<PlanOptions, 'otlpEndpoint'>,
): string {
  const password = `\${${WORKER_SECRETS.databasePassword}}`;
  return JSON.stringify({
    database: { postgres: { ...database, password, dbname: MANAGER_DATABASE } },
    secrets: { key: `\${${WORKER_SECRETS.sealingKey}}` },
    preheat: { allowPrivateNetworks: true },
    metrics: { host: LOOPBACK, port: manager.workerMetricsPort },
    ...(otlpEndpoint !== undefined && { tracing: { protocol: 'http', endpoint: otlpEndpoint } }),
  });
}

/** What needs no credentials: to preheat, and to see what came of it. */
const OPEN_ROUTES = ['preheat.create', 'preheat.get', 'jobs.create:preheat', 'jobs.get', 'tasks.list'];

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

export interface ClusterPlan {
  readonly schedulerPort: number;
  readonly schedulerConfigText: string;
  /** The seed peer first. */
  readonly daemons: readonly PlannedDaemon[];
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
const NODES = ['node-1', 'node-2', 'node-3'] as const;
/** Where the scheduler's ports lie, counted from the first daemon's: 8002 and 8000 for the usual 4000. */
const SCHEDULER_OFFSET = { grpc: 4002, metrics: 4000 } as const;
/** Highest port the last service gets, counted from the base. */
export const PORT_SPAN = SCHEDULER_OFFSET.grpc;

/** Lays out a scheduler, a seed peer and three daemons: who listens where, who stores what. */
export function planCluster({ dataDir, portBase, otlpEndpoint }: PlanOptions): ClusterPlan {
  const schedulerPort = portBase + SCHEDULER_OFFSET.grpc;
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
        scheduler: { addrs: [`${LOOPBACK}:${schedulerPort}`] },
        seedPeer: { enable: isSeed },
        ...tracing,
      }),
    };
  };
  return {
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
      ...tracing,
    }),
    daemons: [plan('seed', NODES.length, true), ...NODES.map((name, index) => plan(name, index, false))],
  };
}

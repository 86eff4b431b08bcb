import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '../scratch/free-ports.ts';
import type { LabHost } from '../network-lab/network-lab.ts';
import { ClusterNode } from './cluster-node.ts';
import { mergeConfig } from './merge-config.ts';
import type { AppConfig } from './spawn-app.ts';

/** Where one daemon listens, all on 127.0.0.1. */
export interface DaemonPorts {
  readonly upload: number;
  readonly proxy: number;
  readonly metrics: number;
  readonly health: number;
  readonly piece: number;
  /** Where pieces are served over TLS, if it has certificates. */
  readonly pieceTls: number;
}

export interface DaemonOptions {
  /** Host name it announces; unique in its cluster. */
  readonly name: string;
  readonly seed: boolean;
  /** Folder of the cluster; the daemon gets one of its own in it. */
  readonly parentDir: string;
  /** Addresses of schedulers; empty for a daemon on its own. */
  readonly schedulers: readonly string[];
  /** Registry asked by clients that do not say which they mean. */
  readonly defaultRegistry?: string;
  /** Laid over the configuration made here. */
  readonly config?: AppConfig;
  readonly env?: Readonly<Record<string, string>>;
  /** Where it runs, in a network lab; all its ports are on the loopback there. */
  readonly host?: LabHost;
}

/** A daemon, or a seed peer, of a cluster. */
export class DaemonNode extends ClusterNode {
  readonly ports: DaemonPorts;
  readonly socketPath: string;
  readonly storageDir: string;
  readonly seed: boolean;

  private constructor(
    start: ConstructorParameters<typeof ClusterNode>[0],
    at: { ports: DaemonPorts; socketPath: string; storageDir: string; seed: boolean },
  ) {
    super(start);
    this.ports = at.ports;
    this.socketPath = at.socketPath;
    this.storageDir = at.storageDir;
    this.seed = at.seed;
  }

  /** `127.0.0.1:<port>` of the registry mirror. */
  get proxyHost(): string {
    return `127.0.0.1:${this.ports.proxy}`;
  }

  get proxyUrl(): string {
    return `http://${this.proxyHost}`;
  }

  get metricsUrl(): string {
    return `http://127.0.0.1:${this.ports.metrics}/metrics`;
  }

  /** Writes its files; start() runs it. */
  static async prepare(options: DaemonOptions): Promise<DaemonNode> {
    const { name, seed, parentDir, schedulers, defaultRegistry, config = {}, env = {} } = options;
    const dir = join(parentDir, name);
    const storageDir = join(dir, 'storage');
    const socketPath = join(dir, 'd.sock'); // a socket's path may have 107 characters
    await mkdir(storageDir, { recursive: true });
    const [upload = 0, proxy = 0, metrics = 0, health = 0, piece = 0, pieceTls = 0] = await freePorts(6);
    const ports = { upload, proxy, metrics, health, piece, pieceTls };
    const dynconfig = join(dir, 'dynconfig.yaml');
    await writeFile(dynconfig, JSON.stringify({ scheduler: { addrs: schedulers } }));
    const server = (port: number) => ({ server: { ip: '127.0.0.1', port } });
    const base = {
      host: { ip: '127.0.0.1', hostname: name },
      download: { server: { socketPath } },
      upload: server(upload),
      proxy: {
        ...server(proxy),
        rules: [{ regex: 'blobs/sha256.*' }],
        registryMirror: {
          enableTaskIDBasedBlobDigest: true,
          ...(defaultRegistry !== undefined && { addr: defaultRegistry }),
        },
      },
      metrics: server(metrics),
      health: server(health),
      storage: { dir: storageDir, keep: true, server: { ip: '127.0.0.1', tcpPort: piece, tlsPort: pieceTls } },
      ...(seed && { seedPeer: { enable: true } }),
    };
    return new DaemonNode(
      {
        app: seed ? 'seed-peer' : 'dfdaemon',
        name,
        dir,
        config: mergeConfig(base, config),
        args: ['--dynconfig', dynconfig],
        env,
        ready: { kind: 'http', url: `http://127.0.0.1:${health}/healthy` },
        ...(options.host !== undefined && { host: options.host }),
      },
      { ports, socketPath, storageDir, seed },
    );
  }
}

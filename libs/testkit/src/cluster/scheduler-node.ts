import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '../scratch/free-ports.ts';
import type { LabHost } from '../network-lab/network-lab.ts';
import { ClusterNode } from './cluster-node.ts';
import { mergeConfig } from './merge-config.ts';
import type { AppConfig } from './spawn-app.ts';

export interface SchedulerOptions {
  /** Folder of the cluster; the scheduler gets one of its own in it. */
  readonly parentDir: string;
  /** Laid over the configuration made here. */
  readonly config?: AppConfig;
  readonly env?: Readonly<Record<string, string>>;
  /** Where it runs, in a network lab; its ports are on the loopback there. */
  readonly host?: LabHost;
}

/** The scheduler of a cluster; it runs without a manager. */
export class SchedulerNode extends ClusterNode {
  readonly port: number;
  readonly metricsUrl: string;

  private constructor(start: ConstructorParameters<typeof ClusterNode>[0], port: number, metricsPort: number) {
    super(start);
    this.port = port;
    this.metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`;
  }

  /** `127.0.0.1:<port>`, for a daemon's list of schedulers. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Writes its files; start() runs it. */
  static async prepare({ parentDir, config = {}, env = {}, host }: SchedulerOptions): Promise<SchedulerNode> {
    const dir = join(parentDir, 'scheduler');
    await mkdir(dir, { recursive: true });
    const [port, metricsPort] = (await freePorts(2)) as [number, number];
    const base = {
      server: {
        listenIP: '127.0.0.1',
        advertiseIP: '127.0.0.1',
        port,
        advertisePort: port,
        dataDir: join(dir, 'data'),
      },
      metrics: { enable: true, addr: `127.0.0.1:${metricsPort}` },
    };
    return new SchedulerNode(
      {
        app: 'scheduler',
        name: 'scheduler',
        dir,
        config: mergeConfig(base, config),
        args: [],
        env,
        ready: { kind: 'tcp', port },
        ...(host !== undefined && { host }),
      },
      port,
      metricsPort,
    );
  }
}

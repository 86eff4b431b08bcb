import type { OtlpReceiver } from '../telemetry/otlp-receiver.ts';
import { tempDir } from '../scratch/temp-dir.ts';
import type { LabHost } from '../network-lab/network-lab.ts';
import type { ClusterNode } from './cluster-node.ts';
import { DaemonNode } from './daemon-node.ts';
import { mergeConfig } from './merge-config.ts';
import { SchedulerNode } from './scheduler-node.ts';
import type { AppConfig } from './spawn-app.ts';

export interface ClusterOptions {
  /** Ordinary daemons, named daemon-0 and so on. Default: 3. */
  readonly daemons?: number;
  /** Seed peers, named seed-0 and so on. Default: 1. */
  readonly seeds?: number;
  /** Default: true. */
  readonly scheduler?: boolean;
  /** Registry meant by clients that do not say which: `http://127.0.0.1:5000`. */
  readonly defaultRegistry?: string;
  /** Receives the traces of all services. */
  readonly traces?: Pick<OtlpReceiver, 'host'>;
  /** Laid over the configuration of all daemons, seeds too. */
  readonly daemonConfig?: AppConfig;
  /** Laid over the configuration of the seeds alone. */
  readonly seedConfig?: AppConfig;
  readonly schedulerConfig?: AppConfig;
  readonly env?: Readonly<Record<string, string>>;
  /** Where all of it runs, in a network lab. */
  readonly host?: LabHost;
  /** Folder for all files of the cluster: `/dev/shm` to measure without a disk. */
  readonly parentDir?: string;
}

/** A scheduler, seeds and daemons, each a process of its own on loopback. */
export interface Cluster extends AsyncDisposable {
  readonly scheduler: SchedulerNode | undefined;
  readonly seeds: readonly DaemonNode[];
  readonly daemons: readonly DaemonNode[];
  /** All of them. */
  readonly nodes: readonly ClusterNode[];
  /** Starts one more daemon. */
  addDaemon(config?: AppConfig): Promise<DaemonNode>;
}

/** Starts the applications from their bundles and waits until all are ready; disposal ends them and removes their files. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const host = options.host === undefined ? {} : { host: options.host };
  const { daemons: daemonCount = 3, seeds: seedCount = 1, traces, env = {}, defaultRegistry } = options;
  await using stack = new AsyncDisposableStack();
  const parentDir = stack.use(await tempDir('d7y-cluster', options.parentDir)).path;
  const tracing: AppConfig = traces === undefined ? {} : { tracing: { protocol: 'http', endpoint: traces.host } };
  const start = async <T extends ClusterNode>(node: T): Promise<T> => {
    stack.use(node);
    await node.start();
    return node;
  };

  const scheduler =
    options.scheduler === false
      ? undefined
      : await start(
          await SchedulerNode.prepare({
            ...host,
            parentDir,
            env,
            config: mergeConfig(tracing, options.schedulerConfig ?? {}),
          }),
        );
  const prepareDaemon = (name: string, seed: boolean, config: AppConfig) =>
    DaemonNode.prepare({
      name,
      seed,
      parentDir,
      env,
      schedulers: scheduler === undefined ? [] : [scheduler.address],
      ...(defaultRegistry !== undefined && { defaultRegistry }),
      ...host,
      config: mergeConfig(mergeConfig(tracing, options.daemonConfig ?? {}), config),
    });

  const seeds = await Promise.all(
    Array.from({ length: seedCount }, async (_, index) =>
      start(await prepareDaemon(`seed-${index}`, true, options.seedConfig ?? {})),
    ),
  );
  const daemons = await Promise.all(
    Array.from({ length: daemonCount }, async (_, index) => start(await prepareDaemon(`daemon-${index}`, false, {}))),
  );
  const resources = stack.move();
  return {
    scheduler,
    seeds,
    daemons,
    get nodes() {
      return [...(scheduler === undefined ? [] : [scheduler]), ...seeds, ...daemons];
    },
    async addDaemon(config = {}) {
      const node = resources.use(await prepareDaemon(`daemon-${daemons.length}`, false, config));
      await node.start();
      daemons.push(node);
      return node;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

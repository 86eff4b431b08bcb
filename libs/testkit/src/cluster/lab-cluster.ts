import { tempDir } from '../scratch/temp-dir.ts';
import type { LabHost, NetworkLab } from '../network-lab/network-lab.ts';
import { DaemonNode } from './daemon-node.ts';
import { mergeConfig } from './merge-config.ts';
import { SchedulerNode } from './scheduler-node.ts';
import type { AppConfig } from './spawn-app.ts';

/** A daemon of a lab, and the machine it is alone on. */
export interface LabDaemon {
  readonly node: DaemonNode;
  readonly host: LabHost;
}

/** A scheduler, a seed and daemons, each on a machine of its own. */
export interface LabCluster extends AsyncDisposable {
  readonly scheduler: SchedulerNode;
  readonly seed: LabDaemon;
  readonly daemons: readonly LabDaemon[];
}

export interface LabClusterOptions {
  /** The first two are the scheduler's and the seed's; the others get a daemon each. */
  readonly hosts: NetworkLab['hosts'];
  /** Folder for all files: `/dev/shm` to measure without a disk. */
  readonly parentDir?: string;
  /** Laid over the configuration of all daemons, the seed too. */
  readonly daemonConfig?: AppConfig;
  readonly schedulerConfig?: AppConfig;
}

/** Starts the applications from their bundles, and waits until all are ready. They speak with each other over the links of the lab. */
export async function startLabCluster(options: LabClusterOptions): Promise<LabCluster> {
  const [schedulerHost, seedHost, ...others] = options.hosts;
  if (schedulerHost === undefined || seedHost === undefined)
    throw new RangeError('a scheduler and a seed need two hosts');
  await using stack = new AsyncDisposableStack();
  const parentDir = stack.use(await tempDir('d7y-lab', options.parentDir)).path;
  const scheduler = await SchedulerNode.prepare({
    parentDir,
    host: schedulerHost,
    config: mergeConfig(
      { server: { listenIP: '0.0.0.0', advertiseIP: schedulerHost.ip } },
      options.schedulerConfig ?? {},
    ),
  });
  stack.use(scheduler);
  await scheduler.start();
  const startDaemon = async (name: string, seed: boolean, host: LabHost): Promise<LabDaemon> => {
    const own = { host: { ip: host.ip }, upload: { server: { ip: host.ip } }, storage: { server: { ip: host.ip } } };
    const node = await DaemonNode.prepare({
      ...{ name, seed, parentDir, host, schedulers: [`${schedulerHost.ip}:${scheduler.port}`] },
      config: mergeConfig(own, options.daemonConfig ?? {}),
    });
    stack.use(node);
    await node.start();
    return { node, host };
  };
  const seed = await startDaemon('seed-0', true, seedHost);
  const daemons: LabDaemon[] = [];
  // One after the other: they would only fight for the processor.
  for (const [index, host] of others.entries()) daemons.push(await startDaemon(`daemon-${index}`, false, host));
  const resources = stack.move();
  return { scheduler, seed, daemons, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

import {
  type Cluster,
  type ClusterOptions,
  DaemonNode,
  freePort,
  mergeConfig,
  SchedulerNode,
  tempDir,
} from '@d7y/testkit';
import { schedulerKnows } from './_scheduler-knows.ts';
import { tapGrpc, tapTcp, type Wiretap } from './_wiretap.ts';

/** A cluster in which every message from one process to another is overheard. */
export interface TappedCluster extends Omit<Cluster, 'addDaemon'> {
  /** What was said to and by the scheduler. */
  heardByScheduler(): Buffer;
  /** What daemons said to each other and the scheduler to seeds, over gRPC. */
  heardByDaemons(): Buffer;
  /** Piece transfers, the begin of each connection. */
  heardOnPiecePorts(): Buffer;
}

/**
 * Starts a scheduler, a seed and daemons. Each daemon listens on 127.0.0.1 and is announced with an address of its own in 127/8, where a tap
 * listens on the same ports; daemons know the tap's address as the scheduler's. Nothing but taps is reached from another process.
 */
export async function startTappedCluster(options: ClusterOptions): Promise<TappedCluster> {
  const { daemons: daemonCount = 3, seeds: seedCount = 1, traces, env = {}, defaultRegistry } = options;
  await using stack = new AsyncDisposableStack();
  const parentDir = stack.use(await tempDir('d7y-tapped')).path;
  const tracing = traces === undefined ? {} : { tracing: { protocol: 'http', endpoint: traces.host } };
  const taps = { scheduler: [] as Wiretap[], daemons: [] as Wiretap[], pieces: [] as Wiretap[] };
  const tap = async (list: Wiretap[], starting: Promise<Wiretap>) => void list.push(stack.use(await starting));

  const schedulerConfig = mergeConfig(tracing, options.schedulerConfig ?? {});
  const scheduler = stack.use(await SchedulerNode.prepare({ parentDir, env, config: schedulerConfig }));
  const schedulerPort = await freePort();
  const home = '127.0.0.1';
  await tap(
    taps.scheduler,
    tapGrpc({ listen: { host: home, port: schedulerPort }, upstream: { host: home, port: scheduler.port } }),
  );
  await scheduler.start();

  const startDaemon = async (name: string, index: number, seed: boolean) => {
    const address = `127.0.7.${index + 1}`;
    const node = stack.use(
      await DaemonNode.prepare({
        name,
        seed,
        parentDir,
        env,
        schedulers: [`${home}:${schedulerPort}`],
        ...(defaultRegistry !== undefined && { defaultRegistry }),
        config: mergeConfig(mergeConfig(tracing, options.daemonConfig ?? {}), { host: { ip: address } }),
      }),
    );
    for (const [list, start, port] of [
      [taps.daemons, tapGrpc, node.ports.upload],
      [taps.pieces, tapTcp, node.ports.piece],
    ] as const) {
      await tap(list, start({ listen: { host: address, port }, upstream: { host: home, port } }));
    }
    await node.start();
    return node;
  };
  const all = await Promise.all(
    Array.from({ length: seedCount + daemonCount }, (_, index) =>
      index < seedCount
        ? startDaemon(`seed-${index}`, index, true)
        : startDaemon(`daemon-${index - seedCount}`, index, false),
    ),
  );
  await schedulerKnows(scheduler.address, all.length);
  const heard = (list: readonly Wiretap[]) => Buffer.concat(list.map((one) => one.heard()));
  const resources = stack.move();
  return {
    scheduler,
    seeds: all.slice(0, seedCount),
    daemons: all.slice(seedCount),
    nodes: [scheduler, ...all],
    heardByScheduler: () => heard(taps.scheduler),
    heardByDaemons: () => heard(taps.daemons),
    heardOnPiecePorts: () => heard(taps.pieces),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

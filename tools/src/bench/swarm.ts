import { cpus } from 'node:os';
import { join } from 'node:path';
import {
  type LabCluster,
  type LabDaemon,
  type NetworkLab,
  startLabCluster,
  startNetworkLab,
  tempDir,
} from '@d7y/testkit';
import { delay } from '@d7y/service-kit';
import { normalTimesMs, settingsOf, simulate } from '@d7y/swarm-simulator';
import { type Blob, writeBlob } from './blobs.ts';
import { startCpuMeter } from './cpu-meter.ts';
import { curl } from './curl.ts';
import { type BenchOptions, MEMORY_DIR, type Measurement, requireMemory } from './measurement.ts';
import { type Nginx, startNginx } from './nginx.ts';
import { summarize } from './statistics.ts';
import { warmMemory } from './warm-memory.ts';

const HOSTS = 8;
const MBIT_PER_SEC = 200;
const ROUNDS = 3;
const SIZE_BYTES = 100 * 2 ** 20;
/** Of a blob of some MiB and more. */
export const PIECE_BYTES = 4 * 2 ** 20;
/** Simulated runs whose middle one the lab is compared with: with few hosts chance counts for much. */
const SIMULATED_RUNS = 15;

/** A lab with everything running. */
interface Rig {
  readonly lab: NetworkLab;
  readonly origin: Nginx;
  readonly cluster: LabCluster;
}

/** One blob that everybody wanted at once. */
interface Crowd {
  readonly seconds: readonly number[];
  /** Until the last one had it. */
  readonly lastSeconds: number;
  /** Body bytes that left the origin, by the length of the blob. */
  readonly origin: number;
  /** What the seed sent, and what each daemon sent, by the length of the blob. */
  readonly seedSent: number;
  readonly daemonsSent: readonly number[];
  /** What all daemons received beyond one blob each, by as much: pieces that came twice, and headers. */
  readonly excess: number;
  /** Share of the machine's processor time that was used. */
  readonly cpu: number;
  readonly cpuSeconds: Readonly<Record<string, number>>;
}

/**
 * A blob that nobody has, wanted by all hosts of a small network at once: the time until the last one has it, to the least that is possible when
 * the origin serves the seed alone. Registry, scheduler and seed have machines of their own; the rate of the links is measured by a
 * transfer over one of them. With `killScheduler` the scheduler dies meanwhile.
 * @throws {NotRootError}
 */
export async function benchSwarm(options: BenchOptions): Promise<readonly Measurement[]> {
  const { hosts = HOSTS, lab: settings, progress } = options;
  const { mbitPerSec = MBIT_PER_SEC, blobBytes = SIZE_BYTES, killScheduler, turns } = settings;
  // Files of all rounds, in nginx's folder and in each daemon's.
  await requireMemory((hosts + 3) * blobBytes * (ROUNDS + 2));
  await using scratch = await tempDir('d7y-bench', MEMORY_DIR);
  const root = join(scratch.path, 'www');
  await using lab = await startNetworkLab({ hosts: hosts + 3, mbitPerSec });
  const [originHost, ...others] = lab.hosts;
  if (originHost === undefined) throw new RangeError('a lab has hosts');
  await using origin = await startNginx(root, { host: originHost, log: true });
  await using cluster = await startLabCluster({
    ...{ hosts: others, parentDir: scratch.path },
    daemonConfig: { upload: { turns } },
  });
  const rig: Rig = { lab, origin, cluster };
  if (killScheduler) return await killedScheduler(rig, await writeBlob(root, 'killed', blobBytes), progress);

  const plain = await writeBlob(root, 'plain', blobBytes);
  const u = await linkRate(rig, plain);
  const directSeconds = await everybodyDirect(rig, plain);
  const pieces = Math.ceil(blobBytes / PIECE_BYTES);
  const leastSeconds = leastSecondsOf({ hosts, pieces, bytes: blobBytes, bytesPerSec: u });
  progress(
    `links ${((u * 8) / 1e6).toFixed(1)} Mbit/s, T* ${leastSeconds.toFixed(2)} s, direct ${directSeconds.toFixed(2)} s`,
  );
  const crowds: Crowd[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const blob = await writeBlob(root, `round ${round}`, blobBytes);
    await warmMemory((hosts + 1) * blobBytes);
    const crowd = await pullTogether(rig, blob);
    progress(toLine(crowd, leastSeconds));
    crowds.push(crowd);
  }
  const ratio = summarize(crowds.map(({ lastSeconds }) => lastSeconds / leastSeconds));
  const details = {
    ...{ hosts, mbitPerSec, turns, sizeBytes: blobBytes, rounds: ROUNDS, pieces, leastSeconds, directSeconds },
    measuredMbitPerSec: (u * 8) / 1e6,
    spread: [ratio.min, ratio.max],
    crowds,
  };
  const simulated = simulatedRatio({ hosts, pieces, bitsPerSec: u * 8, turns });
  const originShare = summarize(crowds.map((crowd) => crowd.origin));
  return [
    { name: 'swarm', value: ratio.median, unit: 'ratio', target: { must: 1.25, aim: 1.12 }, details },
    {
      ...{ name: 'swarmToSim', value: Math.abs(ratio.median / simulated - 1), unit: 'of the simulated ratio' },
      ...{
        target: { must: 0.2, aim: 0.1 },
        details: { simulated, measured: ratio.median, runs: SIMULATED_RUNS, turns },
      },
    },
    {
      ...{ name: 'swarmOrigin', value: originShare.max, unit: 'ratio', target: { must: 1, aim: 1 } },
      details: { hosts, sizeBytes: blobBytes },
    },
    {
      ...{
        name: 'swarmToDirect',
        value: summarize(crowds.map(({ lastSeconds }) => lastSeconds)).median / directSeconds,
      },
      ...{ unit: 'ratio', target: { must: 0.5, aim: 0.2 }, details: { hosts, directSeconds } },
    },
  ];
}

/**
 * The least time in which all hosts can have something that comes in pieces: the origin sends each piece once, and the last one has to double its
 * way to all of them.
 */
export function leastSecondsOf({
  hosts,
  pieces,
  bytes,
  bytesPerSec,
}: {
  hosts: number;
  pieces: number;
  bytes: number;
  bytesPerSec: number;
}): number {
  return ((1 + (1 + Math.floor(Math.log2(hosts))) / pieces) * bytes) / bytesPerSec;
}

/** What the simulator says of the same setting: time of the last to the least possible, the middle of several runs. */
function simulatedRatio({
  hosts,
  pieces,
  bitsPerSec,
  turns,
}: {
  hosts: number;
  pieces: number;
  bitsPerSec: number;
  turns: boolean;
}): number {
  const ratios = Array.from({ length: SIMULATED_RUNS }, (_, seed) => {
    const settings = settingsOf('burst', {
      ...{ peers: hosts, pieces, seed: seed + 1, rateBitsPerSec: bitsPerSec, originBitsPerSec: bitsPerSec },
      daemon: { uploads: turns ? 'turns' : 'queue' },
    });
    const outcome = simulate(settings, { cpuMs: () => performance.now() });
    return (normalTimesMs(outcome).at(-1) ?? Infinity) / outcome.optimumMs;
  });
  return summarize(ratios).median;
}

/** Bytes per second of one TCP connection over two links of the lab. */
async function linkRate({ origin, cluster }: Rig, blob: Blob): Promise<number> {
  const { bytes, seconds } = await curl(`${origin.url}${blob.path}`, '/dev/null', {}, cluster.seed.host);
  if (bytes !== blob.sizeBytes) throw new Error(`the origin sent ${bytes} bytes instead of ${blob.sizeBytes}`);
  return bytes / seconds;
}

async function everybodyDirect({ origin, cluster }: Rig, blob: Blob): Promise<number> {
  const startedAtMs = performance.now();
  await Promise.all(cluster.daemons.map(({ host }) => curl(`${origin.url}${blob.path}`, '/dev/null', {}, host)));
  return (performance.now() - startedAtMs) / 1000;
}

async function pull({ origin }: Rig, { node, host }: LabDaemon, blob: Blob): Promise<void> {
  const { bytes } = await curl(
    `${node.proxyUrl}${blob.path}`,
    '/dev/null',
    { 'X-Dragonfly-Registry': origin.url },
    host,
  );
  if (bytes !== blob.sizeBytes) throw new Error(`${node.name} sent ${bytes} bytes instead of ${blob.sizeBytes}`);
}

async function pullTogether(rig: Rig, blob: Blob): Promise<Crowd> {
  const { lab, origin, cluster } = rig;
  const all = [cluster.seed, ...cluster.daemons];
  const sent = () => Promise.all(all.map(async ({ host }) => (await lab.traffic(host)).sentBytes));
  const received = async () => {
    const traffic = await Promise.all(cluster.daemons.map(({ host }) => lab.traffic(host)));
    return traffic.reduce((sum, { receivedBytes }) => sum + receivedBytes, 0);
  };
  const pids = Object.fromEntries(
    [...all.map(({ node }) => node), cluster.scheduler].map(({ name, program }) => [name, program.pid]),
  );
  const [before, receivedBefore, originBefore, cpu, machine] = [
    await sent(),
    await received(),
    await origin.sentBytes(),
    startCpuMeter(pids),
    cpuTimes(),
  ];
  const startedAtMs = performance.now();
  const seconds = await Promise.all(
    cluster.daemons.map(async (daemon) => {
      await pull(rig, daemon, blob);
      return (performance.now() - startedAtMs) / 1000;
    }),
  );
  const machineNow = cpuTimes();
  const [seedSent = 0, ...daemonsSent] = (await sent()).map(
    (bytes, index) => (bytes - (before[index] ?? 0)) / blob.sizeBytes,
  );
  return {
    seconds,
    lastSeconds: Math.max(...seconds),
    origin: ((await origin.sentBytes()) - originBefore) / blob.sizeBytes,
    ...{ seedSent, daemonsSent, cpuSeconds: cpu() },
    excess: ((await received()) - receivedBefore) / (cluster.daemons.length * blob.sizeBytes) - 1,
    cpu: (machineNow.busy - machine.busy) / (machineNow.all - machine.all),
  };
}

/** Kills the scheduler half-way and starts it again; meanwhile one host waits to join until it is back. */
async function killedScheduler(
  rig: Rig,
  blob: Blob,
  progress: (text: string) => void,
): Promise<readonly Measurement[]> {
  const { lab, origin, cluster } = rig;
  const [late, ...daemons] = cluster.daemons;
  if (late === undefined) throw new RangeError('somebody must join late');
  const u = await linkRate(rig, blob);
  const originBefore = await origin.sentBytes();
  const pulls = daemons.map((daemon) => pull(rig, daemon, blob));
  const settled = Promise.allSettled(pulls);
  await delay((blob.sizeBytes / u) * 500);
  const killedAtMs = performance.now();
  await cluster.scheduler.kill('SIGKILL');
  await cluster.scheduler.start();
  const startedAtMs = performance.now();
  const { receivedBytes } = await lab.traffic(late.host);
  const joined = pull(rig, late, blob).then(() => true);
  joined.catch(() => undefined);
  while ((await lab.traffic(late.host)).receivedBytes - receivedBytes < 2 ** 20) {
    if (performance.now() - startedAtMs > 60_000) break;
    await delay(20);
  }
  const againSeconds = (performance.now() - startedAtMs) / 1000;
  const results = [...(await settled), ...(await Promise.allSettled([joined]))];
  const failed = results.filter(({ status }) => status === 'rejected').length;
  const extra = ((await origin.sentBytes()) - originBefore) / blob.sizeBytes - 1;
  const details = { hosts: cluster.daemons.length, restartSeconds: (startedAtMs - killedAtMs) / 1000 };
  progress(`failed ${failed}, extra ${extra.toFixed(3)}, parents again after ${againSeconds.toFixed(2)} s`);
  return [
    { name: 'swarmKilledFailed', value: failed, unit: 'pulls', target: { must: 0, aim: 0 }, details },
    { name: 'swarmKilledOrigin', value: extra, unit: 'of the blob', target: { must: 0, aim: 0 }, details },
    { name: 'swarmKilledAgain', value: againSeconds, unit: 's', target: { must: 5, aim: 2 }, details },
  ];
}

function cpuTimes(): { readonly busy: number; readonly all: number } {
  let [busy, all] = [0, 0];
  for (const { times } of cpus()) {
    const { user, nice, sys, irq, idle } = times;
    busy += user + nice + sys + irq;
    all += user + nice + sys + irq + idle;
  }
  return { busy, all };
}

function toLine(
  { lastSeconds, seconds, origin, seedSent, daemonsSent, excess, cpu }: Crowd,
  leastSeconds: number,
): string {
  const list = (values: readonly number[]) => values.map((value) => value.toFixed(2)).join(' ');
  return [
    `last ${lastSeconds.toFixed(2)} s, ${(lastSeconds / leastSeconds).toFixed(3)} of T*; each ${list(seconds)}`,
    `origin ${origin.toFixed(3)}; sent by seed ${seedSent.toFixed(2)}, by others ${list(daemonsSent)}; received in excess ${(excess * 100).toFixed(1)} %; CPU ${(cpu * 100).toFixed(0)} %`,
  ].join('\n  ');
}

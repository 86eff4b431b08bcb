import { join } from 'node:path';
import { startCluster, startNetworkLab, tempDir } from '@d7y/testkit';
import { writeBlob } from './blobs.ts';
import { peakRss, startCpuMeter } from './cpu-meter.ts';
import { curl } from './curl.ts';
import { DaemonSocket } from './daemon-socket.ts';
import { interleave } from './interleave.ts';
import { type BenchOptions, MEMORY_DIR, type Measurement, requireMemory } from './measurement.ts';
import { startNginx } from './nginx.ts';

const SIZE_BYTES = 256 * 2 ** 20;
const MBIT_PER_SEC = 200;

/**
 * What a daemon costs a client whose blob nobody has yet: through one daemon from a server behind a link of 200 Mbit/s, compared with
 * from the server straight, over the same link. The daemon forgets the blob after every run. The value is the ratio of the times.
 * @throws {NotRootError}
 */
export async function benchCold({ runs, progress }: BenchOptions): Promise<readonly Measurement[]> {
  await requireMemory(2.5 * SIZE_BYTES);
  await using scratch = await tempDir('d7y-bench', MEMORY_DIR);
  const root = join(scratch.path, 'www');
  const blob = await writeBlob(root, 'cold', SIZE_BYTES);
  await using lab = await startNetworkLab({ hosts: 2, mbitPerSec: MBIT_PER_SEC });
  const [server, host] = lab.hosts;
  if (server === undefined || host === undefined) throw new RangeError('a lab of two hosts has two hosts');
  await using origin = await startNginx(root, { host: server });
  await using cluster = await startCluster({ daemons: 1, seeds: 0, parentDir: scratch.path, host });
  const [daemon] = cluster.daemons;
  if (daemon === undefined) throw new RangeError('a cluster of one daemon has one daemon');
  const socket = new DaemonSocket(daemon);
  const pids = { daemon: daemon.program.pid };
  const timed = async (url: string, headers: Record<string, string>) => {
    const cpu = startCpuMeter(pids);
    const { bytes, seconds, cpuSeconds } = await curl(url, '/dev/null', headers, host);
    if (bytes !== SIZE_BYTES) throw new Error(`${url} sent ${bytes} bytes instead of ${SIZE_BYTES}`);
    return { bytes, seconds, cpuSeconds: { ...cpu(), curl: cpuSeconds } };
  };

  const { ours, theirs, ratio } = await interleave(
    runs,
    async () => {
      const transfer = await timed(`${daemon.proxyUrl}${blob.path}`, { 'X-Dragonfly-Registry': origin.url });
      await socket.delete(blob.digest.slice('sha256:'.length));
      return transfer;
    },
    () => timed(`${origin.url}${blob.path}`, {}),
    progress.pair,
  );

  // Times, not rates: the other way round.
  const spread = [1 / ratio.max, 1 / ratio.min] as const;
  const mbit = (mibPerSec: number) => ((mibPerSec * 8 * 2 ** 20) / 1e6).toFixed(1);
  return [
    {
      name: 'cold',
      value: 1 / ratio.median,
      unit: 'ratio',
      target: { must: 1.05, aim: 1.02 },
      details: {
        ...{ spread, runs, sizeBytes: SIZE_BYTES, mbitPerSec: MBIT_PER_SEC, baseline: 'nginx + curl' },
        mibPerSec: ours.rate,
        baselineMibPerSec: theirs.rate,
        cpuSecondsPerGib: ours.cpuSecondsPerGib,
        peakRssBytes: peakRss(pids),
      },
      text: [
        `time to that of direct  ${spread[0].toFixed(3)} to ${spread[1].toFixed(3)}, ${runs} pairs of 256 MiB`,
        `Mbit/s                  ${mbit(ours.rate.median)} against ${mbit(theirs.rate.median)}`,
      ],
    },
  ];
}

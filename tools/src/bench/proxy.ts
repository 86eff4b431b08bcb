import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startCluster, tempDir } from '@d7y/testkit';
import { verifyFile, writeBlob } from './blobs.ts';
import { peakRss, startCpuMeter } from './cpu-meter.ts';
import { curl, curlAtOnce } from './curl.ts';
import { interleave } from './interleave.ts';
import { type BenchOptions, MEMORY_DIR, type Measurement, ratioOf, requireMemory, type Target } from './measurement.ts';
import { startNginx } from './nginx.ts';

/** Streams at once of `proxy64`; each gets a sixteenth of the size of a transfer, so that all together move four times as much. */
const STREAMS = 64;

/** One stream. @see compareProxy */
export const benchProxy = (options: BenchOptions): Promise<readonly Measurement[]> =>
  compareProxy('proxy', options, { streams: 1, blobBytes: options.sizeBytes, target: { must: 0.8, aim: 0.95 } });

/** Many streams at once, all of the same blob. @see compareProxy */
export const benchProxy64 = (options: BenchOptions): Promise<readonly Measurement[]> =>
  compareProxy('proxy64', options, {
    ...{ streams: STREAMS, blobBytes: Math.ceil(options.sizeBytes / 16) },
    target: { must: 0.7, aim: 0.9 },
  });

/**
 * A daemon that holds a blob serves it through its proxy to a client that throws it away. Compared with nginx serving the same file to
 * the same client.
 * @throws when the proxy serves other bytes, or fetches again what it holds
 */
async function compareProxy(
  name: string,
  { runs, progress }: BenchOptions,
  { streams, blobBytes, target }: { readonly streams: number; readonly blobBytes: number; readonly target: Target },
): Promise<readonly Measurement[]> {
  await requireMemory(3 * blobBytes);
  await using scratch = await tempDir('d7y-bench', MEMORY_DIR);
  const root = join(scratch.path, 'www');
  const blob = await writeBlob(root, 'proxy', blobBytes);
  await using origin = await startNginx(root, { log: true });
  await using baseline = await startNginx(root);
  await using cluster = await startCluster({ daemons: 1, seeds: 0, parentDir: scratch.path });
  const [daemon] = cluster.daemons;
  if (daemon === undefined) throw new RangeError('a cluster of one daemon has one daemon');
  const headers = { 'X-Dragonfly-Registry': origin.url };
  const url = `${daemon.proxyUrl}${blob.path}`;

  progress('the daemon gets the blob');
  const first = join(scratch.path, 'first');
  await curl(url, first, headers);
  await verifyFile(first, blob);
  await rm(first);
  const sentBefore = await origin.sentBytes();

  const sizeBytes = streams * blobBytes;
  const pids = { daemon: daemon.program.pid };
  const measured = async (from: string, pid: Record<string, number>, send: Record<string, string>) => {
    const cpu = startCpuMeter(pid);
    const result =
      streams === 1
        ? await curl(from, '/dev/null', send)
        : await curlAtOnce(new Array<string>(streams).fill(from), send);
    if (result.bytes !== sizeBytes) throw new Error(`${from} sent ${result.bytes} bytes instead of ${sizeBytes}`);
    return { bytes: result.bytes, seconds: result.seconds, cpuSeconds: { ...cpu(), curl: result.cpuSeconds } };
  };
  const comparison = await interleave(
    runs,
    () => measured(url, pids, headers),
    () => measured(`${baseline.url}${blob.path}`, { nginx: baseline.pid }, {}),
    progress.pair,
  );

  const fromOrigin = (await origin.sentBytes()) - sentBefore;
  if (fromOrigin > 0) throw new Error(`${fromOrigin} bytes came from the origin although the daemon held the blob`);
  const peakRssBytes = peakRss({ ...pids, nginx: baseline.pid });
  return [ratioOf(name, { comparison, sizeBytes, peakRssBytes }, target)];
}

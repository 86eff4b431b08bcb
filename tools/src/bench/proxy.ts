import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startCluster, tempDir } from '@d7y/testkit';
import { verifyFile, writeBlob } from './blobs.ts';
import { peakRss, startCpuMeter } from './cpu-meter.ts';
import { curl } from './curl.ts';
import { interleave } from './interleave.ts';
import { type BenchOptions, MEMORY_DIR, type Measurement, ratioOf, requireMemory } from './measurement.ts';
import { startNginx } from './nginx.ts';

/**
 * A daemon that holds a blob serves it through its proxy to a client that throws it away. Compared with nginx serving the same file to
 * the same client.
 * @throws when a byte came from the origin, or the proxy serves other bytes
 */
export async function benchProxy({ runs, sizeBytes, progress }: BenchOptions): Promise<readonly Measurement[]> {
  await requireMemory(3 * sizeBytes);
  await using scratch = await tempDir('d7y-bench', MEMORY_DIR);
  const root = join(scratch.path, 'www');
  const blob = await writeBlob(root, 'proxy', sizeBytes);
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

  const pids = { daemon: daemon.program.pid };
  const toNothing = async (from: string, pid: Record<string, number>, send: Record<string, string>) => {
    const cpu = startCpuMeter(pid);
    const result = await curl(from, '/dev/null', send);
    if (result.bytes !== sizeBytes) throw new Error(`${from} sent ${result.bytes} bytes instead of ${sizeBytes}`);
    return { bytes: result.bytes, seconds: result.seconds, cpuSeconds: { ...cpu(), curl: result.cpuSeconds } };
  };
  const comparison = await interleave(
    runs,
    () => toNothing(url, pids, headers),
    () => toNothing(`${baseline.url}${blob.path}`, { nginx: baseline.pid }, {}),
    progress.pair,
  );

  const fromOrigin = (await origin.sentBytes()) - sentBefore;
  // A daemon may ask whether its client may have the blob; that takes a byte each.
  if (fromOrigin > runs + 1)
    throw new Error(`${fromOrigin} bytes came from the origin although the daemon held the blob`);
  const peakRssBytes = peakRss({ ...pids, nginx: baseline.pid });
  return [ratioOf('proxy', { comparison, sizeBytes, peakRssBytes }, { must: 0.8, aim: 0.95 })];
}

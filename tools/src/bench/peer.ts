import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startCluster, tempDir } from '@d7y/testkit';
import { type Blob, verifyFile, writeBlob } from './blobs.ts';
import { peakRss, startCpuMeter } from './cpu-meter.ts';
import { curl } from './curl.ts';
import { downloadTask } from './download-task.ts';
import { interleave } from './interleave.ts';
import { type BenchOptions, MEMORY_DIR, type Measurement, requireMemory } from './measurement.ts';
import { startNginx } from './nginx.ts';

/**
 * Daemon to daemon: one holds the blob, the other gets it from there, verified, into a file in memory. Compared with curl getting the
 * same bytes from nginx into such a file. Every run takes another blob, as the receiver keeps what it has.
 * @throws when a byte came from the origin, or a file does not hold its blob
 */
export async function benchPeer({ runs, sizeBytes, progress }: BenchOptions): Promise<Measurement> {
  await requireMemory((3 * runs + 4) * sizeBytes);
  await using scratch = await tempDir('d7y-bench', MEMORY_DIR);
  const root = join(scratch.path, 'www');
  const blobs: Blob[] = [];
  for (let run = 0; run <= runs; run++) blobs.push(await writeBlob(root, `peer-${run}`, sizeBytes));
  await using origin = await startNginx(root, { log: true });
  await using baseline = await startNginx(root);
  await using cluster = await startCluster({ daemons: 2, seeds: 0, parentDir: scratch.path });
  const [sender, receiver] = cluster.daemons;
  if (sender === undefined || receiver === undefined) throw new RangeError('a cluster of two daemons has two daemons');
  const outputs = join(scratch.path, 'out');
  await mkdir(outputs);
  for (const [index, blob] of blobs.entries()) {
    progress(`the sender gets blob ${index + 1} of ${blobs.length}`);
    const outputPath = join(outputs, 'sender');
    await downloadTask(sender, { origin: origin.url, blob, outputPath, peersOnly: false });
    await rm(outputPath);
  }
  const sentBefore = await origin.sentBytes();
  const pids = { receiver: receiver.program.pid, sender: sender.program.pid };

  const comparison = await interleave(
    runs,
    async (index) => {
      const blob = blobs[index] as Blob;
      const outputPath = join(outputs, 'receiver');
      const cpu = startCpuMeter(pids);
      const began = performance.now();
      await downloadTask(receiver, { origin: origin.url, blob, outputPath, peersOnly: true });
      const seconds = (performance.now() - began) / 1000;
      const cpuSeconds = cpu();
      await verifyFile(outputPath, blob);
      await rm(outputPath);
      return { bytes: sizeBytes, seconds, cpuSeconds };
    },
    async (index) => {
      const output = join(outputs, 'curl');
      const cpu = startCpuMeter({ nginx: baseline.pid });
      const result = await curl(`${baseline.url}${(blobs[index] as Blob).path}`, output);
      await rm(output);
      return { bytes: result.bytes, seconds: result.seconds, cpuSeconds: { ...cpu(), curl: result.cpuSeconds } };
    },
    progress.pair,
  );

  const fromOrigin = (await origin.sentBytes()) - sentBefore;
  // A daemon may ask whether it may have the blob; that takes a byte each.
  if (fromOrigin > blobs.length)
    throw new Error(`${fromOrigin} bytes came from the origin instead of from the other daemon`);
  return {
    name: 'peer',
    comparison,
    sizeBytes,
    peakRssBytes: { ...peakRss(pids), nginx: peakRss({ nginx: baseline.pid })['nginx'] ?? 0 },
  };
}

import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startCluster, tempDir } from '@d7y/testkit';
import { verifyFile, writeBlob } from './blobs.ts';
import { peakRss, startCpuMeter } from './cpu-meter.ts';
import { curl } from './curl.ts';
import { DaemonSocket } from './daemon-socket.ts';
import { interleave } from './interleave.ts';
import { type BenchOptions, cpuOf, MEMORY_DIR, type Measurement, ratioOf, requireMemory } from './measurement.ts';
import { startNginx } from './nginx.ts';
import { warmMemory } from './warm-memory.ts';

/**
 * Daemon to daemon: one holds the blob, the other gets it from there into its store in memory, digest verified. Compared with curl
 * getting the same bytes from nginx into a file in memory. The receiver forgets the blob after every run.
 * @throws when a byte came from the origin, or the receiver holds other bytes than the blob's
 */
export async function benchPeer({ runs, sizeBytes, progress }: BenchOptions): Promise<readonly Measurement[]> {
  await requireMemory(4.5 * sizeBytes);
  await using scratch = await tempDir('d7y-bench', MEMORY_DIR);
  const root = join(scratch.path, 'www');
  const blob = await writeBlob(root, 'peer', sizeBytes);
  await using origin = await startNginx(root, { log: true });
  await using baseline = await startNginx(root);
  await using cluster = await startCluster({ daemons: 2, seeds: 0, parentDir: scratch.path });
  const [sender, receiver] = cluster.daemons;
  if (sender === undefined || receiver === undefined) throw new RangeError('a cluster of two daemons has two daemons');
  const output = join(scratch.path, 'output');
  progress('the sender gets the blob');
  await new DaemonSocket(sender).download({ origin: origin.url, blob, peersOnly: false });
  const sentBefore = await origin.sentBytes();
  const pids = { receiver: receiver.program.pid, sender: sender.program.pid };
  const socket = new DaemonSocket(receiver);

  const comparison = await interleave(
    runs,
    async () => {
      await warmMemory(sizeBytes);
      const cpu = startCpuMeter(pids);
      const began = performance.now();
      const taskId = await socket.download({ origin: origin.url, blob, peersOnly: true });
      const seconds = (performance.now() - began) / 1000;
      const cpuSeconds = cpu();
      await verifyFile(await contentFileOf(receiver.storageDir, taskId), blob);
      await socket.delete(taskId);
      return { bytes: sizeBytes, seconds, cpuSeconds };
    },
    async () => {
      await warmMemory(sizeBytes);
      const cpu = startCpuMeter({ nginx: baseline.pid });
      const result = await curl(`${baseline.url}${blob.path}`, output);
      await rm(output);
      return { bytes: result.bytes, seconds: result.seconds, cpuSeconds: { ...cpu(), curl: result.cpuSeconds } };
    },
    progress.pair,
  );

  const fromOrigin = (await origin.sentBytes()) - sentBefore;
  // A daemon may ask whether it may have the blob; that takes a byte each time.
  if (fromOrigin > 2 * (runs + 1))
    throw new Error(`${fromOrigin} bytes came from the origin instead of from the other daemon`);
  const facts = {
    comparison,
    sizeBytes,
    peakRssBytes: { ...peakRss(pids), nginx: peakRss({ nginx: baseline.pid })['nginx'] ?? 0 },
  };
  return [ratioOf('peer', facts, { must: 0.45, aim: 0.6 }), cpuOf('peerCpu', facts, { must: 1.9, aim: 1.4 })];
}

/** Where a daemon keeps the content of a task: looked at from outside, as asking the daemon would be work for it. */
async function contentFileOf(storageDir: string, taskId: string): Promise<string> {
  const names = await readdir(storageDir, { recursive: true });
  const name = names.find((path) => path.endsWith(taskId));
  if (name === undefined) throw new Error(`${storageDir} has no file of task ${taskId}`);
  return join(storageDir, name);
}

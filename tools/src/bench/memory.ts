import { join } from 'node:path';
import { type DaemonNode, startCluster, tempDir } from '@d7y/testkit';
import { type Blob, writeHollowBlob } from './blobs.ts';
import { curlAtOnce } from './curl.ts';
import { DaemonSocket } from './daemon-socket.ts';
import { type BenchOptions, MEMORY_DIR, type Measurement, requireMemory } from './measurement.ts';
import { startNginx } from './nginx.ts';

const MIB = 2 ** 20;
const BLOB_BYTES = 64 * MIB;
/** What a process still frees after its last transfer, it frees within this time. */
const SETTLE_MS = 3_000;

/**
 * Many blobs at once through one daemon, cold: a seed fetches them from the origin, the daemon gets them from the seed, and clients
 * drop them. Both forget all of them after each round. Memory is that of whichever of the two needs more.
 * @throws when a blob does not arrive whole
 */
export async function benchMemory({ blobCount, rounds, progress }: BenchOptions): Promise<readonly Measurement[]> {
  // The origin's blobs are hollow and take no memory; the daemon and the seed hold them all.
  await requireMemory(2.2 * blobCount * BLOB_BYTES);
  await using scratch = await tempDir('d7y-bench', MEMORY_DIR);
  const root = join(scratch.path, 'www');
  progress('making the blobs');
  const blobs: Blob[] = [];
  for (let number = 0; number < blobCount; number++)
    blobs.push(await writeHollowBlob(root, `memory-${number}`, BLOB_BYTES));
  await using origin = await startNginx(root, { log: true });
  await using cluster = await startCluster({ daemons: 1, seeds: 1, parentDir: scratch.path });
  const [daemon] = cluster.daemons;
  const [seed] = cluster.seeds;
  if (daemon === undefined || seed === undefined) throw new RangeError('the cluster has one daemon and one seed');
  const nodes: Readonly<Record<string, DaemonNode>> = { daemon, seed };
  const sockets = Object.values(nodes).map((node) => new DaemonSocket(node));
  const read = (what: 'rssBytes' | 'peakRssBytes') =>
    Object.fromEntries(Object.entries(nodes).map(([name, node]) => [name, node.program.usage()[what]]));

  const after: Record<string, number>[] = [];
  for (let round = 1; round <= rounds; round++) {
    const urls = blobs.map(({ path }) => `${daemon.proxyUrl}${path}`);
    const { bytes, seconds } = await curlAtOnce(urls, { 'X-Dragonfly-Registry': origin.url });
    if (bytes !== blobCount * BLOB_BYTES)
      throw new Error(`${bytes} bytes arrived instead of ${blobCount * BLOB_BYTES}`);
    for (const socket of sockets) for (const { digest } of blobs) await socket.delete(digest.slice('sha256:'.length));
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    after.push(read('rssBytes'));
    progress(
      `round ${round}: ${(bytes / MIB / seconds).toFixed(0)} MiB/s; peak ${inMib(read('peakRssBytes'))}; now ${inMib(read('rssBytes'))}`,
    );
  }

  const peak = read('peakRssBytes');
  const growth = Object.keys(nodes).map((name) => {
    const [first = NaN] = after.map((round) => round[name] ?? NaN);
    return ((after.at(-1)?.[name] ?? NaN) / first - 1) * 100;
  });
  // Above 1 both have asked the origin for the same bytes.
  const originBytesPerByte = (await origin.sentBytes()) / (rounds * blobCount * BLOB_BYTES);
  const facts = { blobs: blobCount, blobBytes: BLOB_BYTES, rounds, originBytesPerByte };
  return [
    {
      name: 'memory',
      value: Math.max(...Object.values(peak)) / MIB,
      unit: 'MiB',
      target: { must: 200, aim: 150 },
      details: { peakRssBytes: peak, ...facts },
      text: [
        `peak resident memory    ${inMib(peak)}`,
        `from the origin         ${originBytesPerByte.toFixed(2)} of each byte`,
      ],
    },
    {
      name: 'memoryAfter',
      value: Math.max(...growth),
      unit: '%',
      target: { must: 5, aim: 0 },
      details: { rssBytesAfterRounds: after, ...facts },
      text: after.map((rss, index) => `after round ${index + 1}           ${inMib(rss)}`),
    },
  ];
}

function inMib(bytes: Readonly<Record<string, number>>): string {
  return Object.entries(bytes)
    .map(([name, value]) => `${name} ${(value / MIB).toFixed(0)} MiB`)
    .join(', ');
}

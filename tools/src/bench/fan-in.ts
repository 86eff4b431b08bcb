import { createHash } from 'node:crypto';
import { pseudoRandomBytes, startCluster, startFileOrigin, tempDir } from '@d7y/testkit';
import { curlAtOnce } from './curl.ts';
import { type BenchOptions, MEMORY_DIR, type Measurement, requireMemory } from './measurement.ts';

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const PULLS_PER_DAEMON = 64;
const DAEMONS = 3;
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const SIZES: Readonly<Record<string, number>> = { '1 B': 1, '5 KiB': 5 * KIB, '3 MiB': 3 * MIB, '64 MiB': 64 * MIB };

/**
 * How much of an origin's work a swarm leaves: every object is pulled cold, many times at once through each of three daemons, with a seed
 * beside them. The value is the worst of the objects: body bytes that left the origin, to their length.
 * @throws when a pull fails or gets a part only
 */
export async function benchFanIn({ progress }: BenchOptions): Promise<readonly Measurement[]> {
  await requireMemory((DAEMONS + 1) * 2 * 68 * MIB);
  await using scratch = await tempDir('d7y-bench', MEMORY_DIR);
  await using origin = await startFileOrigin();
  await using cluster = await startCluster({ daemons: DAEMONS, seeds: 1, parentDir: scratch.path });
  const config = { mediaType: 'application/vnd.oci.image.config.v1+json', size: 1, digest: digestOf(Buffer.alloc(1)) };
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST_TYPE, config, layers: [] }));
  const headers = { 'content-type': MANIFEST_TYPE, 'docker-content-digest': digestOf(manifest) };
  const blobs = Object.entries(SIZES).map(([name, size]) => {
    const bytes = pseudoRandomBytes(`fan-in ${name}`, size);
    return { name, bytes, paths: [`/v2/bench/blobs/${digestOf(bytes)}`] };
  });
  const objects = [
    {
      name: 'manifest',
      bytes: manifest,
      paths: ['latest', digestOf(manifest)].map((reference) => `/v2/bench/manifests/${reference}`),
    },
    ...blobs,
  ];

  const ratios: Record<string, number> = {};
  for (const { name, bytes, paths } of objects) {
    // The first is asked for; a daemon may ask for a manifest by its digest then.
    for (const path of paths) origin.publish(path, { bytes, ...(bytes === manifest && { headers }) });
    const urls = cluster.daemons.flatMap(({ proxyUrl }) =>
      new Array<string>(PULLS_PER_DAEMON).fill(`${proxyUrl}${paths[0]}`),
    );
    const pulled = await curlAtOnce(urls, { 'X-Dragonfly-Registry': origin.url, Accept: MANIFEST_TYPE });
    if (pulled.bytes !== urls.length * bytes.length)
      throw new Error(`${name}: ${pulled.bytes} bytes arrived instead of ${urls.length} times ${bytes.length}`);
    ratios[name] = paths.reduce((sum, path) => sum + origin.log.bodyBytes(path), 0) / bytes.length;
    progress(`${name}: ${ratios[name].toFixed(3)} times its bytes left the origin, ${urls.length} pulls`);
  }
  return [
    {
      name: 'fanin',
      value: Math.max(...Object.values(ratios)),
      unit: 'ratio',
      target: { must: 1, aim: 1 },
      details: { objects: ratios, daemons: DAEMONS, seeds: 1, pullsPerDaemon: PULLS_PER_DAEMON },
      text: Object.entries(ratios).map(([name, ratio]) => `${name.padEnd(24)}${ratio.toFixed(3)}`),
    },
  ];
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

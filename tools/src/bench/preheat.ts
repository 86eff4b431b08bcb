import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startLabCluster, startNetworkLab, tempDir } from '@d7y/testkit';
import { type Blob, writeBlob } from './blobs.ts';
import { startControlPlane } from './control-plane.ts';
import { curl } from './curl.ts';
import { type BenchOptions, MEMORY_DIR, type Measurement, requireMemory } from './measurement.ts';
import { startNginx } from './nginx.ts';
import { PIECE_BYTES, leastSecondsOf } from './swarm.ts';

const HOSTS = 8;
/** What the hosts of this machine, which all share its processors, can take up. */
const MBIT_PER_SEC = 50;
const LAYERS = 8;
const SIZE_BYTES = 512 * 2 ** 20;
const SMALL_BYTES = 1024;
const TYPE = 'application/vnd.oci.image';

/**
 * A preheat of an image of eight layers that nobody has onto all hosts of a small network, from the request until the manager says that it
 * succeeded, to the least time in which a swarm can have it when the origin serves the seed alone. Registry, manager with its worker, scheduler and
 * seed have machines of their own; the rate of the links is measured by a transfer over one of them.
 * @throws {NotRootError} {@link Error} a host was left out, or the origin asked twice
 */
export async function benchPreheat(options: BenchOptions): Promise<readonly Measurement[]> {
  const { hosts = HOSTS, lab: settings, progress } = options;
  const { mbitPerSec = MBIT_PER_SEC, blobBytes: sizeBytes = SIZE_BYTES, turns } = settings;
  // nginx's folder, the seed's and each daemon's.
  await requireMemory((hosts + 2) * sizeBytes);
  await using scratch = await tempDir('d7y-bench', MEMORY_DIR);
  const root = join(scratch.path, 'www');
  await using lab = await startNetworkLab({ hosts: hosts + 4, mbitPerSec });
  const [originHost, controlHost, ...others] = lab.hosts;
  if (originHost === undefined || controlHost === undefined) throw new RangeError('a lab has hosts');
  await using origin = await startNginx(root, { host: originHost, log: true });
  await using plane = await startControlPlane({ host: controlHost });
  await using cluster = await startLabCluster({
    ...{ hosts: others, parentDir: scratch.path, schedulerConfig: plane.schedulerConfig },
    daemonConfig: { upload: { turns } },
  });
  const small = await writeBlob(root, 'small', SMALL_BYTES);
  await plane.reaches(hosts, `${origin.url}${small.path}`);

  const layers: Blob[] = [];
  for (let layer = 0; layer < LAYERS; layer++)
    layers.push(await writeBlob(root, `layer ${layer}`, Math.ceil(sizeBytes / LAYERS)));
  const [first] = layers;
  if (first === undefined) throw new RangeError('an image has layers');
  const { bytes, seconds: oneSeconds } = await curl(`${origin.url}${first.path}`, '/dev/null', {}, cluster.seed.host);
  const imageBytes = layers.reduce((sum, layer) => sum + layer.sizeBytes, 0);
  const pieces = layers.reduce((sum, layer) => sum + Math.ceil(layer.sizeBytes / PIECE_BYTES), 0);
  const bytesPerSec = bytes / oneSeconds;
  const leastSeconds = leastSecondsOf({ hosts, pieces, bytes: imageBytes, bytesPerSec });
  progress(`links ${((bytesPerSec * 8) / 1e6).toFixed(1)} Mbit/s, T* ${leastSeconds.toFixed(2)} s`);

  const url = `${origin.url}${await writeManifest(root, small, layers)}`;
  const received = () => Promise.all(cluster.daemons.map(async ({ host }) => (await lab.traffic(host)).receivedBytes));
  const [receivedBefore, sentBefore, startedMs] = [await received(), await origin.sentBytes(), performance.now()];
  const { id } = await plane.ask('POST', '/oapi/v1/jobs', {
    ...{ type: 'preheat', args: { type: 'image', url, scope: 'all_peers' } },
  });
  const job = await plane.succeeded(id);
  const seconds = (performance.now() - startedMs) / 1000;
  const originShare = ((await origin.sentBytes()) - sentBefore) / imageBytes;
  const shares = (await received()).map((now, index) => (now - (receivedBefore[index] ?? 0)) / imageBytes);
  if (job.progress?.['peers_done'] !== hosts || shares.some((share) => share < 1))
    throw new Error(`not all of ${hosts} hosts got the image: ${JSON.stringify({ progress: job.progress, shares })}`);
  const facts = { hosts, layers: LAYERS, sizeBytes: imageBytes, mbitPerSec, turns };
  return [
    {
      ...{ name: 'preheat', value: seconds / leastSeconds, unit: 'ratio', target: { must: 1.4, aim: 1.2 } },
      details: {
        ...{ ...facts, pieces, seconds, leastSeconds, measuredMbitPerSec: (bytesPerSec * 8) / 1e6 },
        received: shares,
      },
      text: [
        `${seconds.toFixed(2)} s of ${leastSeconds.toFixed(2)} s at least; hosts received ${inWords(shares)} of it`,
      ],
    },
    {
      // The manifest and the small configuration come on top of the layers.
      ...{ name: 'preheatOrigin', value: originShare, unit: 'ratio', target: { must: 1.01, aim: 1.001 } },
      details: facts,
    },
  ];
}

const inWords = (shares: readonly number[]): string =>
  `${Math.min(...shares).toFixed(2)} to ${Math.max(...shares).toFixed(2)}`;

/** Writes an image's manifest where a registry would have it. @returns its path */
async function writeManifest(root: string, config: Blob, layers: readonly Blob[]): Promise<string> {
  const entry =
    (type: string) =>
    ({ digest, sizeBytes: size }: Blob) => ({ mediaType: `${TYPE}.${type}`, digest, size });
  const manifest = JSON.stringify({
    ...{ schemaVersion: 2, mediaType: `${TYPE}.manifest.v1+json`, config: entry('config.v1+json')(config) },
    layers: layers.map(entry('layer.v1.tar')),
  });
  const digest = createHash('sha256').update(manifest).digest('hex');
  const folder = join(root, 'v2', 'bench', 'manifests');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `sha256:${digest}`), manifest);
  return `/v2/bench/manifests/sha256:${digest}`;
}

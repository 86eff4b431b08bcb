import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BlobDescriptor, writeLayer } from './layer.ts';

export interface ImageOptions {
  /** Folder for the layout; made when missing. */
  readonly dir: string;
  /** Content of each layer, in bytes. */
  readonly layerBytes: readonly number[];
  /** More than one makes an index. Default: amd64. */
  readonly architectures?: readonly string[];
  /** Default: latest. */
  readonly tag?: string;
  /** The same seed gives the same image. Default: the tag. */
  readonly seed?: string;
}

/** One platform of an image. */
export interface PlatformImage {
  readonly architecture: string;
  readonly manifest: BlobDescriptor;
  readonly config: BlobDescriptor;
  readonly layers: readonly BlobDescriptor[];
}

/** An image on disk, as an OCI layout. */
export interface ImageLayout {
  readonly dir: string;
  readonly tag: string;
  /** What the tag points to: the manifest, or an index of them. */
  readonly top: BlobDescriptor;
  readonly platforms: readonly PlatformImage[];
}

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';

/** Writes a synthetic image: noise that does not compress, the same digests for the same options, no network. */
export async function makeImage(options: ImageOptions): Promise<ImageLayout> {
  const { dir, layerBytes, architectures = ['amd64'], tag = 'latest', seed = tag } = options;
  const blobDir = join(dir, 'blobs', 'sha256');
  await mkdir(blobDir, { recursive: true });
  const platforms: PlatformImage[] = [];
  for (const architecture of architectures) {
    platforms.push(await makePlatform(blobDir, architecture, layerBytes, `${seed}/${architecture}`));
  }
  const manifests = platforms.map(({ architecture, manifest }) => ({
    ...manifest,
    platform: { architecture, os: 'linux' },
  }));
  const [only] = platforms;
  const top =
    platforms.length === 1 && only !== undefined
      ? only.manifest
      : await writeJson(blobDir, INDEX_TYPE, { schemaVersion: 2, mediaType: INDEX_TYPE, manifests });
  const entry = { ...top, annotations: { 'org.opencontainers.image.ref.name': tag } };
  await writeFile(join(dir, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  await writeFile(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  return { dir, tag, top, platforms };
}

/**
 * Blobs that a pull of one platform fetches from `/blobs/`: its configuration and layers.
 * @throws {RangeError} when the image has no such platform
 */
export function blobsOf(image: ImageLayout, architecture = 'amd64'): readonly BlobDescriptor[] {
  const platform = image.platforms.find((candidate) => candidate.architecture === architecture);
  if (platform === undefined) throw new RangeError(`the image has no platform ${architecture}`);
  return [platform.config, ...platform.layers];
}

async function makePlatform(
  blobDir: string,
  architecture: string,
  layerBytes: readonly number[],
  seed: string,
): Promise<PlatformImage> {
  const layers = [];
  for (const [index, bytes] of layerBytes.entries()) layers.push(await writeLayer(blobDir, index, bytes, seed));
  const config = await writeJson(blobDir, 'application/vnd.oci.image.config.v1+json', {
    architecture,
    os: 'linux',
    created: '1970-01-01T00:00:00Z',
    config: { Cmd: ['/bin/true'] },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
  });
  const descriptors = layers.map((layer) => layer.descriptor);
  const manifest = await writeJson(blobDir, MANIFEST_TYPE, {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config,
    layers: descriptors,
  });
  return { architecture, manifest, config, layers: descriptors };
}

async function writeJson(blobDir: string, mediaType: string, value: unknown): Promise<BlobDescriptor> {
  const bytes = Buffer.from(JSON.stringify(value));
  const hex = createHash('sha256').update(bytes).digest('hex');
  await writeFile(join(blobDir, hex), bytes);
  return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
}

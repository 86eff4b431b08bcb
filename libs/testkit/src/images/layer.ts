import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pseudoRandomChunks } from '../scratch/pseudo-random.ts';
import { tarEnd, tarHeader, tarPadding } from './tar.ts';

/** What a manifest says of one blob. */
export interface BlobDescriptor {
  readonly mediaType: string;
  /** `sha256:` and 64 hex characters. */
  readonly digest: string;
  readonly size: number;
}

/** A layer as written: its blob, and the digest of the archive inside. */
export interface Layer {
  readonly descriptor: BlobDescriptor;
  readonly diffId: string;
}

/** Files a layer's bytes are spread over, so that unpacking is more than one write. */
const FILES_PER_LAYER = 4;

/**
 * Writes one layer into a folder of blobs, gzip outside, about `contentBytes` of noise inside (a few KiB more).
 * @param seed the same seed gives the same digest
 */
export async function writeLayer(blobDir: string, index: number, contentBytes: number, seed: string): Promise<Layer> {
  const part = join(blobDir, `.part-${process.pid}-${index}`);
  const tarHash = createHash('sha256');
  const blobHash = createHash('sha256');
  let size = 0;
  const hashed = function* () {
    for (const chunk of layerTar(index, contentBytes, seed)) {
      tarHash.update(chunk);
      yield chunk;
    }
  };
  const count = async function* (source: AsyncIterable<Buffer>) {
    for await (const chunk of source) {
      blobHash.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  };
  // Level 0: noise does not compress, and stored blocks keep this fast.
  await pipeline(Readable.from(hashed()), createGzip({ level: 0, chunkSize: 2 ** 20 }), count, createWriteStream(part));
  const hex = blobHash.digest('hex');
  await rename(part, join(blobDir, hex));
  return {
    descriptor: { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: `sha256:${hex}`, size },
    diffId: `sha256:${tarHash.digest('hex')}`,
  };
}

function* layerTar(index: number, contentBytes: number, seed: string): Generator<Buffer> {
  if (index === 0) {
    const release = Buffer.from('ID=synthetic\nVERSION_ID=1\n');
    yield tarHeader('etc/', 0, 'folder');
    yield tarHeader('etc/os-release', release.length, 'file');
    yield release;
    yield tarPadding(release.length);
  }
  yield tarHeader(`layer-${index}/`, 0, 'folder');
  for (let file = 0; file < FILES_PER_LAYER; file++) {
    const length = Math.floor(contentBytes / FILES_PER_LAYER) + (file === 0 ? contentBytes % FILES_PER_LAYER : 0);
    yield tarHeader(`layer-${index}/file-${file}`, length, 'file');
    yield* pseudoRandomChunks(`${seed}/${index}/${file}`, length);
    yield tarPadding(length);
  }
  yield tarEnd();
}

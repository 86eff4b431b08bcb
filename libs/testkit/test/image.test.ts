import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { blobsOf, makeImage } from '../src/images/image.ts';
import { tempDir } from '../src/scratch/temp-dir.ts';

describe('makeImage', () => {
  it('makes the same image twice, and another one for another seed', async () => {
    await using scratch = await tempDir();
    const make = (name: string, seed: string) =>
      makeImage({ dir: join(scratch.path, name), layerBytes: [5000, 300_000], tag: 'v1', seed });
    const [first, again, other] = [await make('a', 's'), await make('b', 's'), await make('c', 't')];
    expect(again.top).toEqual(first.top);
    expect(other.top.digest).not.toBe(first.top.digest);
  });

  it('names every blob by its bytes, and layers by their archives', async () => {
    await using scratch = await tempDir();
    const image = await makeImage({ dir: scratch.path, layerBytes: [100, 1_500_000] });
    const [config, ...layers] = blobsOf(image);
    const read = async (digest: string) =>
      readFile(join(scratch.path, 'blobs', 'sha256', digest.slice('sha256:'.length)));
    for (const blob of blobsOf(image)) {
      const bytes = await read(blob.digest);
      expect(bytes.length).toBe(blob.size);
      expect(`sha256:${createHash('sha256').update(bytes).digest('hex')}`).toBe(blob.digest);
    }
    const { rootfs } = JSON.parse(String(await read(config?.digest ?? ''))) as { rootfs: { diff_ids: string[] } };
    const archives = await Promise.all(layers.map(async (layer) => gunzipSync(await read(layer.digest))));
    expect(archives.map((tar) => `sha256:${createHash('sha256').update(tar).digest('hex')}`)).toEqual(rootfs.diff_ids);
  });

  it('makes an index of several platforms', async () => {
    await using scratch = await tempDir();
    const image = await makeImage({ dir: scratch.path, layerBytes: [1000], architectures: ['amd64', 'arm64'] });
    expect(image.top.mediaType).toBe('application/vnd.oci.image.index.v1+json');
    expect(image.platforms.map((platform) => platform.architecture)).toEqual(['amd64', 'arm64']);
    expect(blobsOf(image, 'arm64')).not.toEqual(blobsOf(image, 'amd64'));
    expect(() => blobsOf(image, 's390x')).toThrow(RangeError);
  });
});

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Containerd } from './containerd.ts';

/** What a folder of blobs holds: size by digest. */
export type Content = ReadonlyMap<string, number>;

/** Content of a containerd, read from its disk and hashed: names prove nothing. */
export function containerdContent(node: Containerd): Promise<Content> {
  return readBlobs(join(node.rootDir, 'io.containerd.content.v1.content', 'blobs', 'sha256'));
}

/** Blobs of a folder as skopeo's `dir:` writes them; other files are passed over. */
export function directoryContent(dir: string): Promise<Content> {
  return readBlobs(dir);
}

/**
 * @throws when a file's bytes do not hash to its name
 */
async function readBlobs(dir: string): Promise<Content> {
  const names = (await readdir(dir)).filter((name) => /^[0-9a-f]{64}$/.test(name)).sort();
  const content = new Map<string, number>();
  for (const name of names) {
    const path = join(dir, name);
    const hash = createHash('sha256');
    await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), hash);
    const found = hash.digest('hex');
    if (found !== name) throw new Error(`${path} holds bytes of sha256:${found}`);
    content.set(`sha256:${name}`, (await stat(path)).size);
  }
  return content;
}

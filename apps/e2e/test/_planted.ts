import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import type { Cluster, ClusterNode, Credentials, OtlpReceiver } from '@d7y/testkit';
import type { TappedCluster } from './_tapped-cluster.ts';

/** Credentials that stand nowhere else: where they turn up, they were leaked. */
export function plantCredentials(): Credentials {
  return { username: `user-${randomBytes(6).toString('hex')}`, password: `planted-${randomBytes(12).toString('hex')}` };
}

/** All forms in which a secret may travel: as it is, in base64 at any offset, and in the escapes of a URL. */
export function formsOf(secret: string): string[] {
  const shifted = [0, 1, 2].flatMap((offset) => {
    const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)]);
    // The first and last characters of base64 depend on the neighbours.
    const text = bytes
      .toString('base64')
      .replace(/=+$/, '')
      .slice(offset === 0 ? 0 : offset + 1, -1);
    return [text, text.replaceAll('+', '-').replaceAll('/', '_')];
  });
  return [...new Set([secret, encodeURIComponent(secret), Buffer.from(secret).toString('hex'), ...shifted])];
}

/** A name for each place in which something was written or said, with all of it. */
export type Places = Readonly<Record<string, Buffer>>;

/** What the processes of a cluster wrote themselves: logs, metrics, and files of tasks. */
export async function writtenBy(cluster: Pick<Cluster, 'nodes' | 'scheduler' | 'seeds' | 'daemons'>): Promise<Places> {
  const logs = cluster.nodes.map((node: ClusterNode) => [`log of ${node.name}`, Buffer.from(node.lines.join('\n'))]);
  const metrics = await Promise.all(
    [cluster.scheduler, ...cluster.seeds, ...cluster.daemons].map(async (node) =>
      node === undefined
        ? []
        : [[`metrics of ${node.name}`, Buffer.from(await (await fetch(node.metricsUrl)).arrayBuffer())] as const],
    ),
  );
  const files = await Promise.all(
    [...cluster.seeds, ...cluster.daemons].map(async (node) => [
      `records of ${node.name}`,
      await smallFilesBelow(node.storageDir),
    ]),
  );
  return Object.fromEntries([...logs, ...metrics.flat(), ...files]) as Places;
}

/** Everything a cluster left behind for others: what it wrote, its traces, and the messages between its processes. */
export async function placesOf(cluster: TappedCluster, traces: OtlpReceiver): Promise<Places> {
  return {
    ...(await writtenBy(cluster)),
    traces: Buffer.concat([...traces.bodies]),
    'messages with the scheduler': cluster.heardByScheduler(),
    'messages between daemons': cluster.heardByDaemons(),
    'piece transfers': cluster.heardOnPiecePorts(),
  };
}

/** Expects that none of the secrets is in any of the places; the failure names the places, not the secrets. */
export function expectNowhere(places: Places, secrets: readonly string[]): void {
  expect(secrets.length).toBeGreaterThan(0);
  const found = Object.entries(places).flatMap(([place, bytes]) =>
    secrets.flatMap((secret, index) =>
      formsOf(secret).some((form) => bytes.includes(form)) ? [`secret ${index} in ${place}`] : [],
    ),
  );
  expect(found).toEqual([]);
}

/** Where a word that is no secret was found: what shows that looking would have found a secret too. */
export function placesWith(places: Places, word: string): string[] {
  return Object.keys(places).filter((place) => places[place]?.includes(word));
}

/** Metadata, journals and whatever else is beside the content, and the names of all files: content itself is the image and has nothing to do with the caller. */
async function smallFilesBelow(dir: string): Promise<Buffer> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const isContent = (file: string): boolean => file.startsWith(join(dir, 'content', 'tasks'));
  const contents = await Promise.all(
    files.map(async (file) => (isContent(file) ? Buffer.alloc(0) : readFile(file).catch(() => Buffer.alloc(0)))),
  );
  return Buffer.concat(contents.flatMap((content, index) => [Buffer.from(`\n${files[index]}\n`), content]));
}

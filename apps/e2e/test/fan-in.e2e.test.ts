import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type Cluster,
  type DaemonNode,
  type FileOrigin,
  pseudoRandomBytes,
  startCluster,
  startFileOrigin,
} from '@d7y/testkit';
import { getBlob } from './_traffic.ts';

let origin: FileOrigin;
let cluster: Cluster;

beforeAll(async () => {
  origin = await startFileOrigin();
  cluster = await startCluster({ daemons: 3, seeds: 1 });
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

const KIB = 1024;
const MIB = 1024 * KIB;

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A blob at the origin of this suite. @returns its digest and its path there */
function publish(name: string, sizeBytes: number): { digest: string; path: string } {
  const bytes = pseudoRandomBytes(name, sizeBytes);
  const digest = digestOf(bytes);
  const path = `/v2/test/app/blobs/${digest}`;
  origin.publish(path, { bytes });
  return { digest, path };
}

describe('content that many pull at the same time through three daemons', () => {
  it.each([
    ['1 B', 1, 64],
    ['5 KiB', 5 * KIB, 64],
    ['3 MiB', 3 * MIB, 64],
    ['64 MiB', 64 * MIB, 8],
  ])('weakness 16: of %s leaves the origin once', async (name, sizeBytes, pullsPerDaemon) => {
    const { digest, path } = publish(name, sizeBytes);
    const pulls = cluster.daemons.flatMap((daemon) =>
      Array.from({ length: pullsPerDaemon }, () => getBlob(daemon, origin.url, digest)),
    );
    for (const pull of await Promise.all(pulls)) expect(pull).toMatchObject({ status: 200, digest });
    expect(origin.log.bodyBytes(path)).toBe(sizeBytes);
  });

  it('is a manifest, asked for by its tag, and leaves the origin once', async () => {
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const config = {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      size: 1,
      digest: digestOf(Buffer.alloc(1)),
    };
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [] }));
    const digest = digestOf(bytes);
    const headers = { 'content-type': mediaType, 'docker-content-digest': digest };
    const paths = ['latest', digest].map((reference) => `/v2/test/app/manifests/${reference}`);
    for (const path of paths) origin.publish(path, { bytes, headers });
    const pull = async (daemon: DaemonNode): Promise<string> => {
      const answer = await fetch(`${daemon.proxyUrl}${paths[0]}`, {
        headers: { 'X-Dragonfly-Registry': origin.url, accept: mediaType },
      });
      return digestOf(new Uint8Array(await answer.arrayBuffer()));
    };
    const pulls = cluster.daemons.flatMap((daemon) => Array.from({ length: 64 }, () => pull(daemon)));
    expect(new Set(await Promise.all(pulls))).toEqual(new Set([digest]));
    const sent = paths.map((path) => origin.log.bodyBytes(path));
    expect(sent.reduce((sum, bodyBytes) => sum + bodyBytes)).toBe(bytes.length);
  });

  it('is asked for by each daemon and seed once at most before it is fetched', async () => {
    const { digest, path } = publish('asked', 5 * KIB);
    const pulls = cluster.daemons.flatMap((daemon) =>
      Array.from({ length: 64 }, () => getBlob(daemon, origin.url, digest)),
    );
    await Promise.all(pulls);
    const questions = origin.log.requests.filter((entry) => entry.path === path && entry.method === 'HEAD');
    expect(questions.length).toBeLessThanOrEqual(4);
  });

  it('leaves an origin that does not answer HEAD once too, but for a byte by which each host learns of it', async () => {
    const { digest, path } = publish('no HEAD', 5 * KIB);
    using _refused = origin.inject({ path: new RegExp(digest), method: 'HEAD', fault: { status: 405 } });
    await Promise.all(cluster.daemons.map((daemon) => getBlob(daemon, origin.url, digest)));
    expect(origin.log.coverage(path, 5 * KIB)).toMatchObject({ minTimes: 1, maxTimes: 1 });
    expect(origin.log.bodyBytes(path)).toBeLessThanOrEqual(5 * KIB + 3);
  });
});

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  blobsOf,
  type DaemonNode,
  directoryContent,
  podmanPull,
  podmanStorage,
  skopeoCopy,
  writeRegistriesConf,
} from '@d7y/testkit';
import { expectEveryByteOnce, type PullBench, startPullBench } from './_cluster.ts';

let bench: PullBench;

beforeAll(async () => {
  bench = await startPullBench({ daemons: 3 });
});

afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

/** These clients do not say which registry they mean: the daemon's default upstream is it. */
function mirrored(daemon: DaemonNode): Promise<string> {
  return writeRegistriesConf(join(bench.scratch, `conf-${daemon.name}`), {
    registry: bench.origin.host,
    mirror: daemon.proxyHost,
  });
}

describe('three clients, each through its own daemon as mirror, cold and at the same time', () => {
  it('get an image of six layers by skopeo, and every byte leaves the registry once', async () => {
    const image = await bench.publish({ tag: 'skopeo' });
    bench.origin.log.clear();
    const copies = await Promise.all(
      bench.cluster.daemons.map(async (daemon) => {
        const dir = join(bench.scratch, `copy-${daemon.name}`);
        await skopeoCopy(image.name, dir, { registriesConf: await mirrored(daemon) });
        return directoryContent(dir);
      }),
    );
    const blobs = blobsOf(image.layout);
    for (const copy of copies) {
      expect(Object.fromEntries(copy)).toEqual(Object.fromEntries(blobs.map(({ digest, size }) => [digest, size])));
    }
    expectEveryByteOnce(bench.origin, blobs);
  });

  it('get it by podman, and every byte leaves the registry once', async () => {
    const image = await bench.publish({ tag: 'podman' });
    bench.origin.log.clear();
    const ids = await Promise.all(
      bench.cluster.daemons.map(async (daemon) => {
        await using storage = await podmanStorage();
        // podman hashes what it unpacks: an id means that every layer had its digest.
        return await podmanPull(storage, image.name, { registriesConf: await mirrored(daemon) });
      }),
    );
    const blobs = blobsOf(image.layout);
    expect(ids.map((id) => `sha256:${id}`)).toEqual(ids.map(() => blobs[0]?.digest));
    expectEveryByteOnce(bench.origin, blobs);
  });
});

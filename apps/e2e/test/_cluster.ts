import { join } from 'node:path';
import { expect } from '@jest/globals';
import {
  type BlobDescriptor,
  blobsOf,
  type Cluster,
  type ClusterOptions,
  type Containerd,
  type Content,
  type CountingProxy,
  type Credentials,
  type DaemonNode,
  type ImageLayout,
  makeImage,
  mergeConfig,
  pushImage,
  type Registry,
  type RegistryOptions,
  startCluster,
  startContainerd,
  startCountingProxy,
  startRegistry,
  tempDir,
  writeHostsToml,
} from '@d7y/testkit';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Six layers from 5 KiB to 64 MiB: less than a piece, some pieces, many. */
export const SIX_LAYERS = [5 * KIB, 200 * KIB, MIB, 6 * MIB, 20 * MIB, 64 * MIB] as const;

export interface PullBenchOptions<C extends AsyncDisposable = Cluster> extends ClusterOptions {
  readonly registry?: RegistryOptions;
  /** Names under which the daemons, and nobody else, find the registry. */
  readonly hostNames?: readonly string[];
  /** The daemons take the registry's own host for the origin's: only who goes past them reaches it there, uncounted and without faults. */
  readonly hidesRegistry?: boolean;
  /** Starts the cluster in another way. */
  readonly start?: (options: ClusterOptions) => Promise<C>;
}

/** A registry behind a counting proxy, and a cluster that pulls from it. */
export interface PullBench<C extends AsyncDisposable = Cluster> extends AsyncDisposable {
  readonly registry: Registry;
  /** Stands for the registry: its host is the first part of image names. */
  readonly origin: CountingProxy;
  readonly cluster: C;
  readonly scratch: string;
  /** Makes an image and pushes it, uncounted; returns it with the name to pull. */
  publish(options: PublishOptions): Promise<PublishedImage>;
  /** Starts a containerd whose only mirror is this daemon. */
  containerd(daemon: DaemonNode, options?: { cri?: boolean }): Promise<Containerd>;
}

export interface PublishOptions {
  readonly tag: string;
  /** Another seed is another image. Default: the tag. */
  readonly seed?: string;
  readonly layerBytes?: readonly number[];
  readonly architectures?: readonly string[];
  readonly credentials?: Credentials;
  /** Default: test/app. */
  readonly repository?: string;
}

export interface PublishedImage {
  readonly layout: ImageLayout;
  /** `host/repository:tag`. */
  readonly name: string;
}

/** Starts registry, proxy and cluster; disposal ends all that was started through it. Daemons trust the registry's own authority. */
export async function startPullBench(options?: PullBenchOptions): Promise<PullBench>;
export async function startPullBench<C extends AsyncDisposable>(
  options: PullBenchOptions<C> & Required<Pick<PullBenchOptions<C>, 'start'>>,
): Promise<PullBench<C>>;
export async function startPullBench({
  registry: registryOptions,
  hostNames = [],
  hidesRegistry = false,
  start = startCluster,
  ...cluster
}: PullBenchOptions<AsyncDisposable> = {}): Promise<PullBench<AsyncDisposable>> {
  await using stack = new AsyncDisposableStack();
  const scratch = stack.use(await tempDir('d7y-e2e')).path;
  const registry = stack.use(await startRegistry(registryOptions));
  const { certificate } = registry;
  const origin = stack.use(
    await startCountingProxy({
      upstream: registry.url,
      ...(certificate !== undefined && { upstreamCa: certificate.ca, tls: certificate }),
    }),
  );
  const known = { url: origin.url, ...(certificate !== undefined && { cert: certificate.caFile }) };
  const names = hidesRegistry ? [...hostNames, registry.host] : hostNames;
  const registries = [...(certificate === undefined ? [] : [known]), ...names.map((host) => ({ host, ...known }))];
  const daemonConfig = mergeConfig(
    registries.length === 0 ? {} : { proxy: { registries } },
    cluster.daemonConfig ?? {},
  );
  const running = stack.use(await start({ defaultRegistry: origin.url, ...cluster, daemonConfig }));
  const resources = stack.move();
  return {
    registry,
    origin,
    cluster: running,
    scratch,
    async publish({
      tag,
      seed = tag,
      layerBytes = SIX_LAYERS,
      architectures = ['amd64'],
      credentials,
      repository = 'test/app',
    }) {
      const layout = await makeImage({ dir: join(scratch, 'images', seed), tag, seed, layerBytes, architectures });
      await pushImage(layout, registry, { repository, ...(credentials !== undefined && { credentials }) });
      return { layout, name: `${origin.host}/${repository}:${tag}` };
    },
    async containerd(daemon, options = {}) {
      const node = resources.use(await startContainerd(options));
      await writeHostsToml({
        certsDir: node.certsDir,
        registry: origin.host,
        server: origin.url,
        ...(certificate !== undefined && { caFile: certificate.caFile }),
        mirrors: [{ url: daemon.proxyUrl, headers: { 'X-Dragonfly-Registry': origin.url } }],
      });
      return node;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Expects that each byte of each blob has left the registry exactly once. */
export function expectEveryByteOnce(origin: CountingProxy, blobs: readonly BlobDescriptor[]): void {
  const sent = Object.fromEntries(
    blobs.map(({ digest, size }) => [digest, origin.log.blobCoverage(digest, size).ranges]),
  );
  expect(sent).toEqual(
    Object.fromEntries(blobs.map(({ digest, size }) => [digest, [{ start: 0, end: size, times: 1 }]])),
  );
}

/** Expects that a node holds this image for one platform: index, manifest, configuration and layers, each with its own bytes. */
export function expectHolds(content: Content, { layout }: PublishedImage, architecture = 'amd64'): void {
  const manifest = layout.platforms.find((platform) => platform.architecture === architecture)?.manifest;
  const wanted = [layout.top, ...(manifest === undefined ? [] : [manifest]), ...blobsOf(layout, architecture)];
  expect(Object.fromEntries(content)).toMatchObject(
    Object.fromEntries(wanted.map(({ digest, size }) => [digest, size])),
  );
}

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Containerd,
  type Credentials,
  type DaemonNode,
  type Dockerd,
  podmanStorage,
  type PodmanStorage,
  type RegistryOptions,
  startContainerd,
  startDockerd,
  startTokenServer,
  type TokenServer,
} from '@d7y/testkit';
import { type PublishedImage, type PullBench, type PullBenchOptions, startPullBench } from './_cluster.ts';
import { plantCredentials } from './_planted.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** Less than a piece, and more than one. */
const LAYERS = [5 * KIB, 5 * MIB];

/** The registry's name for the daemons; nobody else can resolve it. */
export const REGISTRY_NAME = 'registry.test';

/** What a registry asks of its callers; `own CA` is TLS. */
export const REGISTRY_KINDS = ['plain', 'basic', 'bearer', 'own CA'] as const;
export type RegistryKind = (typeof REGISTRY_KINDS)[number];

/** A machine of the cluster: a daemon of ours, and the engines that pull through it. */
export interface ClientNode {
  readonly daemon: DaemonNode;
  readonly containerd: Containerd;
  readonly dockerd: Dockerd;
  readonly podman: PodmanStorage;
  /** The daemon as forward proxy for everything but loopback, and whom to trust: the daemon's authority and the registry's. */
  readonly env: Readonly<Record<string, string>>;
  /** Folder with the same authorities, as skopeo and podman want them. */
  readonly certDir: string;
}

/** A registry of one kind, and two machines that pull from it. */
export interface ClientRig extends AsyncDisposable {
  readonly bench: PullBench;
  readonly nodes: readonly ClientNode[];
  readonly isTls: boolean;
  /** Of whom the registry lets in; undefined where it lets everybody in. */
  readonly credentials: Credentials | undefined;
  /** What must not turn up anywhere: the password, and all tokens issued so far. */
  secrets(): readonly string[];
  /** The registry under an address that clients use a forward proxy for. */
  readonly proxiedHost: string;
  /** Publishes a fresh image as `test/<name>:v1`. */
  publish(name: string, layerBytes?: readonly number[]): Promise<PublishedImage>;
}

/** Starts a registry of this kind, a cluster of two daemons and a seed, and a containerd, a Docker engine and a podman beside each daemon. */
export async function startClientRig(
  kind: RegistryKind,
  options: Pick<PullBenchOptions, 'hidesRegistry'> = {},
): Promise<ClientRig> {
  await using stack = new AsyncDisposableStack();
  const credentials = kind === 'basic' || kind === 'bearer' ? plantCredentials() : undefined;
  const tokens =
    kind === 'bearer' ? stack.use(await startTokenServer(credentials === undefined ? {} : { credentials })) : undefined;
  const bench = stack.use(
    await startPullBench({
      registry: registryOf(kind, credentials, tokens),
      hostNames: [REGISTRY_NAME],
      ...options,
      daemons: 2,
      daemonConfig: {
        verbose: true,
        // A mirror of Docker Hub that fails sends Docker to Docker Hub: not from a test.
        proxy: { server: { intercept: [REGISTRY_NAME] }, upstreams: { deny: ['*docker.io'] } },
      },
    }),
  );
  const nodes = await Promise.all(bench.cluster.daemons.map((daemon) => startClientNode(stack, bench, daemon)));
  const resources = stack.move();
  return {
    bench,
    nodes,
    isTls: bench.registry.certificate !== undefined,
    credentials,
    secrets: () => [
      ...(credentials === undefined ? [] : [credentials.password, `${credentials.username}:${credentials.password}`]),
      // The signature alone would do: the rest of a token can be made by anybody.
      ...(tokens?.issuedTokens ?? []).map((token) => token.slice(token.lastIndexOf('.') + 1)),
    ],
    proxiedHost: proxiedHostOf(bench.origin),
    publish: (name, layerBytes = LAYERS) =>
      bench.publish({
        tag: 'v1',
        seed: name,
        repository: `test/${name}`,
        layerBytes,
        ...(credentials !== undefined && { credentials }),
      }),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function registryOf(
  kind: RegistryKind,
  auth: Credentials | undefined,
  token: TokenServer | undefined,
): RegistryOptions {
  if (kind === 'own CA') return { tls: true, certificateNames: ['127.1'] };
  if (token !== undefined) return { token };
  return auth === undefined ? {} : { auth };
}

/** Go's programs use no proxy for localhost, nor for what they read as an address in 127/8; to them this is a name. */
function proxiedHostOf({ host }: Pick<PullBench['origin'], 'host'>): string {
  return host.replace('127.0.0.1', '127.1');
}

async function startClientNode(
  stack: AsyncDisposableStack,
  { registry, origin, scratch }: PullBench,
  daemon: DaemonNode,
): Promise<ClientNode> {
  const certDir = join(scratch, `trusted-by-${daemon.name}`);
  await mkdir(certDir);
  const authority = await readFile(join(daemon.storageDir, 'proxy-ca', 'ca.crt'), 'utf8');
  const bundle = join(certDir, 'all.crt');
  await writeFile(bundle, `${authority}\n${registry.certificate?.ca ?? ''}`);
  const env = {
    HTTP_PROXY: daemon.proxyUrl,
    HTTPS_PROXY: daemon.proxyUrl,
    NO_PROXY: '',
    SSL_CERT_FILE: bundle,
  };
  // Over http Docker speaks to loopback only, unless it is told.
  const insecureRegistries = registry.certificate === undefined ? [proxiedHostOf(origin)] : [];
  const [containerd, dockerd, podman] = await Promise.all([
    startContainerd({ cri: true, env }),
    startDockerd({ registryMirror: daemon.proxyUrl, insecureRegistries, env }),
    podmanStorage(),
  ]);
  for (const engine of [containerd, dockerd, podman]) stack.use(engine);
  return { daemon, containerd, dockerd, podman, env, certDir };
}

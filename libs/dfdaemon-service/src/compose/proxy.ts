import { join, resolve } from 'node:path';
import type { TaskOpener } from '@d7y/peer-engine';
import {
  AuthorityError,
  type BlockListSource,
  type CertificateAuthority,
  createRegistryProxy,
  keepAuthority,
  listenProxy,
  type ListeningProxy,
  readAuthority,
  REGISTRY_PROXY_DEFAULTS,
  RegistryKnowledge,
  type RegistryProxy,
  type TagDirectory,
} from '@d7y/registry-proxy';
import { describeSystemError, StartError } from '@d7y/service-kit';
import { nodeCredentials } from '../config/node-credentials.ts';
import type { DfdaemonConfig } from '../config/schema.ts';
import type { DaemonMetrics } from '../observe/daemon-metrics.ts';
import { listening } from './listening.ts';
import type { Origins } from './origins.ts';
import { openDoor, type Runtime } from './runtime.ts';

/** What this daemon knows of registries: decides for the proxy and for local programs alike who may have what. */
export async function openRegistryKnowledge(
  { config, logger, stack }: Runtime,
  { origin, policies }: Origins,
): Promise<RegistryKnowledge> {
  const path = join(resolve(config.storage.dir), 'registries.json');
  const options = {
    ...{ origin, logger, mode: config.proxy.access },
    config: accessTimes(config),
    nodeCredentials: nodeCredentials(config, policies),
  };
  return stack.use(await RegistryKnowledge.open(path, options));
}

function accessTimes({ proxy: { accessTTL } }: DfdaemonConfig) {
  return {
    publicTtlMs: accessTTL.public,
    publicWhenDownMs: accessTTL.publicWhenDown,
    acceptedTtlMs: accessTTL.accepted,
    acceptedWhenDownMs: accessTTL.acceptedWhenDown,
  };
}

/**
 * The proxy, on all its addresses.
 * @returns the port of the first of them, the one that others are told of
 * @throws {StartError}
 */
export async function startProxy(
  runtime: Runtime,
  parts: {
    readonly engine: TaskOpener;
    readonly origins: Origins;
    readonly knowledge: RegistryKnowledge;
    readonly metrics: DaemonMetrics;
    readonly blockLists: BlockListSource;
    readonly tagDirectory: TagDirectory;
  },
): Promise<Pick<RegistryProxy, 'explain'> & { readonly port: number }> {
  const { config, identity, logger, telemetry, stack } = runtime;
  const { server, registryMirror, ...keys } = config.proxy;
  const { engine, origins, knowledge, metrics, tagDirectory } = parts;
  const authority = await authorityOf(runtime);
  const proxy = stack.use(
    createRegistryProxy({
      engine,
      origin: origins.origin,
      knowledge,
      tagDirectory,
      guard: origins.guard,
      blockLists: parts.blockLists,
      credentials: server.basicAuth,
      authority,
      config: {
        ...REGISTRY_PROXY_DEFAULTS,
        ...accessTimes(config),
        manifests: keys.manifests.enable,
        tagTtlMs: keys.manifests.tagTTL,
        tagStaleTtlMs: keys.manifests.staleTTL,
        mirrorAddr: registryMirror.addr,
        dynamic: registryMirror.dynamic,
        registries: origins.policies,
        enableTaskIdBasedBlobDigest: registryMirror.enableTaskIDBasedBlobDigest,
        disableBackToSource: keys.disableBackToSource,
        prefetch: keys.prefetch,
        intercept: server.intercept,
        tunnelIdleTimeoutMs: keys.idleTimeout,
        pieceLength: config.download.pieceSize,
        requestsPerSec: server.requestRateLimit,
        serverIp: identity.ip,
      },
      rules: keys.rules,
      logger,
      tracer: telemetry.tracer,
      metrics,
    }),
  );
  const listenOn = async ({ ip, port }: { readonly ip: string; readonly port: number }): Promise<ListeningProxy> =>
    openDoor(
      runtime,
      await listening(() =>
        listenProxy(proxy, {
          host: ip,
          port,
          headerTimeoutMs: keys.headerTimeout,
          idleTimeoutMs: keys.idleTimeout,
          drainMs: keys.drainTimeout,
        }),
      ),
    );
  const first = await listenOn(server);
  for (const address of server.listen) await listenOn(address);
  if (server.basicAuth === undefined && [server, ...server.listen].some(({ ip }) => !isLoopback(ip))) {
    logger.warn('the proxy can be used by whoever reaches its port: proxy.server.basicAuth is not set');
  }
  return { port: first.port, explain: (url) => proxy.explain(url) };
}

function isLoopback(ip: string): boolean {
  return ip.startsWith('127.') || ip === '::1';
}

/**
 * What signs for intercepted hosts, where there are any: never another authority than the one that is configured.
 * @throws {StartError}
 */
async function authorityOf({ config, identity, logger }: Runtime): Promise<CertificateAuthority | undefined> {
  const { caCert, caKey, intercept } = config.proxy.server;
  const wanted = intercept === undefined ? caCert !== undefined : intercept.length > 0;
  if (!wanted) return undefined;
  const directory = join(resolve(config.storage.dir), 'proxy-ca');
  let certificatePath = caCert ?? directory;
  try {
    const files =
      caCert === undefined || caKey === undefined
        ? await keepAuthority(directory, `Dragonfly proxy of ${identity.hostname}`, Date.now())
        : { certificatePath: caCert, keyPath: caKey };
    ({ certificatePath } = files);
    const authority = await readAuthority(files, Date.now());
    logger.info({ certificatePath }, 'connections to intercepted hosts need clients that trust this certificate');
    return authority;
  } catch (error) {
    const reason =
      error instanceof AuthorityError ? `${certificatePath}: ${error.message}` : describeSystemError(error);
    throw new StartError(`the authority for intercepted hosts cannot be used: ${reason ?? certificatePath}`, {
      cause: error,
    });
  }
}

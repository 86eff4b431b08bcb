import type { TaskOpener } from '@d7y/peer-engine';
import {
  AccessPolicy,
  createRegistryProxy,
  listenProxy,
  type ListeningProxy,
  REGISTRY_PROXY_DEFAULTS,
} from '@d7y/registry-proxy';
import type { DaemonMetrics } from '../observe/daemon-metrics.ts';
import { listening } from './listening.ts';
import type { Origins } from './origins.ts';
import type { Runtime } from './runtime.ts';

/** How long an origin may take to say whether content is public, or a caller accepted. */
const ACCESS_PROBE_TIMEOUT_MS = 20_000;

/** Decides for the proxy and for local programs alike who may have what. */
export function createAccess({ origin }: Origins): AccessPolicy {
  return new AccessPolicy({ ...REGISTRY_PROXY_DEFAULTS, origin, probeTimeoutMs: ACCESS_PROBE_TIMEOUT_MS });
}

/** The registry mirror. @throws {StartError} */
export async function startProxy(
  { config, identity, logger, telemetry, stack }: Runtime,
  parts: {
    readonly engine: TaskOpener;
    readonly origins: Origins;
    readonly access: AccessPolicy;
    readonly metrics: DaemonMetrics;
  },
): Promise<ListeningProxy> {
  const { server, registryMirror, ...keys } = config.proxy;
  const { engine, origins, access, metrics } = parts;
  const proxy = stack.use(
    createRegistryProxy({
      engine,
      origin: origins.origin,
      access,
      config: {
        ...REGISTRY_PROXY_DEFAULTS,
        mirrorAddr: registryMirror.addr,
        dynamic: registryMirror.dynamic,
        registries: origins.policies,
        enableTaskIdBasedBlobDigest: registryMirror.enableTaskIDBasedBlobDigest,
        disableBackToSource: keys.disableBackToSource,
        serverIp: identity.ip,
      },
      rules: keys.rules,
      logger,
      tracer: telemetry.tracer,
      metrics,
    }),
  );
  return stack.use(
    await listening(() =>
      listenProxy(proxy.handle, {
        host: server.ip,
        port: server.port,
        headerTimeoutMs: keys.headerTimeout,
        idleTimeoutMs: keys.idleTimeout,
        drainMs: keys.drainTimeout,
      }),
    ),
  );
}

import type { IncomingMessage } from 'node:http';
import type { RegistryProxyConfig } from './config.ts';
import { ProxyRequestError } from './errors.ts';
import { forwardTargetOf } from './modes/forward.ts';
import { mirrorTargetOf } from './modes/mirror.ts';
import { prefixTargetOf } from './modes/path-prefix.ts';
import { reachedAt } from './modes/registry-base.ts';

/**
 * How a client reaches its upstream through this proxy. `mirror`: the proxy stands in for the registry; `prefix`: the path begins with the
 * registry's name; `forward`: the target is a URL; `intercepted`: within a CONNECT that is read here.
 */
export type ProxyMode = 'mirror' | 'prefix' | 'forward' | 'intercepted';

export interface Target {
  readonly mode: ProxyMode;
  readonly upstream: URL;
  /** Whether the request names its upstream, or leaves it to the configuration. */
  readonly isNamed: boolean;
  /** In prefix mode, the registry as the client wrote it. */
  readonly prefix?: string | undefined;
}

/**
 * Where a request wants to go.
 * @param registryHeader value of X-Dragonfly-Registry; counts in mirror mode only
 * @param tunnel `host:port` of the CONNECT that the request came through
 * @throws {ProxyRequestError}
 */
export function targetOf(
  { url = '/', headers }: Pick<IncomingMessage, 'url' | 'headers'>,
  { registryHeader, tunnel }: { registryHeader?: string | undefined; tunnel?: string | undefined },
  config: RegistryProxyConfig,
): Target {
  if (tunnel !== undefined) {
    if (!url.startsWith('/')) throw new ProxyRequestError(400, 'a request within CONNECT must ask for a path');
    const upstream = reachedAt(new URL(`https://${tunnel}${url}`), config.registries);
    return { mode: 'intercepted', upstream, isNamed: true };
  }
  if (!url.startsWith('/')) {
    return { mode: 'forward', upstream: reachedAt(forwardTargetOf(url), config.registries), isNamed: true };
  }
  const mirror = mirrorTargetOf(url, { registryHeader, hostHeader: headers.host }, config);
  const prefix = mirror.isNamed || !config.dynamic ? undefined : prefixTargetOf(url, config.registries);
  return prefix === undefined ? { mode: 'mirror', ...mirror } : { mode: 'prefix', isNamed: true, ...prefix };
}

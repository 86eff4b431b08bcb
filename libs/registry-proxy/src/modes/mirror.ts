import type { RegistryProxyConfig } from '../config.ts';
import { joinQuery, queryParameter, splitTarget, withoutParameter } from './query.ts';
import { joinTarget, parseBase, registryBase } from './registry-base.ts';

/** A mirror request, as its upstream gets it. */
export interface MirrorTarget {
  readonly upstream: URL;
  /** Whether the request names its upstream. */
  readonly isNamed: boolean;
}

/**
 * The URL at the upstream for a mirror request: X-Dragonfly-Registry, else the `ns` query, else the configured registry. An `ns` that names
 * this proxy names nothing.
 * @param target request target as received, beginning with `/`
 * @param named.registryHeader value of X-Dragonfly-Registry
 * @param named.hostHeader value of Host: what the client calls this proxy
 * @throws {ProxyRequestError}
 */
export function mirrorTargetOf(
  target: string,
  named: { readonly registryHeader?: string | undefined; readonly hostHeader?: string | undefined },
  config: Pick<RegistryProxyConfig, 'mirrorAddr' | 'dynamic' | 'registries'>,
): MirrorTarget {
  const { path, search } = splitTarget(target);
  const ns = queryParameter(search, 'ns');
  const rest = joinQuery(path, withoutParameter(search, 'ns'));
  const base = config.dynamic ? namedBase(ns, named, config.registries) : undefined;
  const upstream = joinTarget(base ?? parseBase(config.mirrorAddr, 'proxy.registryMirror.addr'), rest);
  return { upstream, isNamed: base !== undefined };
}

function namedBase(
  ns: string | undefined,
  { registryHeader, hostHeader }: { registryHeader?: string | undefined; hostHeader?: string | undefined },
  registries: RegistryProxyConfig['registries'],
): URL | undefined {
  if (registryHeader !== undefined) return parseBase(registryHeader, 'X-Dragonfly-Registry');
  if (ns === undefined || ns === '' || ns === hostHeader) return undefined;
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(ns) ? parseBase(ns, 'ns') : registryBase(ns, 'ns', registries);
}

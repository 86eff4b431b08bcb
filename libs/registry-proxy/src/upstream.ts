import { policyFor, type RegistryProxyConfig } from './config.ts';
import { ProxyRequestError } from './errors.ts';

/** Names under which Docker Hub is known, none of which is its registry. */
const DOCKER_HUB = new Set(['docker.io', 'index.docker.io']);
const DOCKER_HUB_REGISTRY = 'registry-1.docker.io';

/**
 * The URL at the upstream for a mirror request: X-Dragonfly-Registry, else the `ns` query, else the configured registry.
 * An `ns` has no scheme: https is taken, http for this machine itself, and what the configuration says of that host before both.
 * @param target request target as received, beginning with `/`
 * @param registryHeader value of X-Dragonfly-Registry
 * @throws {ProxyRequestError}
 */
export function upstreamUrlOf(
  target: string,
  registryHeader: string | undefined,
  config: Pick<RegistryProxyConfig, 'mirrorAddr' | 'dynamic' | 'registries'>,
): URL {
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  const search = query === -1 ? '' : target.slice(query + 1);
  const base = baseOf(registryHeader, queryParameter(search, 'ns'), config);
  const rest = withoutParameter(search, 'ns');
  return new URL(`${base.origin}${base.pathname.replace(/\/+$/, '')}${path}${rest === '' ? '' : `?${rest}`}`);
}

function baseOf(
  registryHeader: string | undefined,
  ns: string | undefined,
  config: Pick<RegistryProxyConfig, 'mirrorAddr' | 'dynamic' | 'registries'>,
): URL {
  if (config.dynamic && registryHeader !== undefined) return parseBase(registryHeader, 'X-Dragonfly-Registry');
  if (config.dynamic && ns !== undefined && ns !== '') {
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(ns)) return parseBase(ns, 'ns');
    const secure = parseBase(`https://${ns}`, 'ns');
    if (secure.pathname !== '/') throw new ProxyRequestError(400, `ns "${ns}" is not a registry host`);
    const scheme = policyFor(config.registries, secure)?.scheme ?? (isLoopback(secure.hostname) ? 'http' : 'https');
    return scheme === 'https' ? secure : parseBase(`http://${ns}`, 'ns');
  }
  return parseBase(config.mirrorAddr, 'proxy.registryMirror.addr');
}

function parseBase(text: string, source: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new ProxyRequestError(400, `${source} does not name a registry such as https://ghcr.io`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new ProxyRequestError(400, `${source} must not carry credentials`);
  }
  if (DOCKER_HUB.has(url.hostname)) url.hostname = DOCKER_HUB_REGISTRY;
  return url;
}

/** Whether a URL's host is this machine, where registries for tests and development speak http. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function queryParameter(search: string, name: string): string | undefined {
  return new URLSearchParams(search).get(name) ?? undefined;
}

/** Takes a parameter out of a query and leaves every other byte as it was: signatures may cover them. */
function withoutParameter(search: string, name: string): string {
  return search
    .split('&')
    .filter((pair) => pair !== '' && !new URLSearchParams(pair).has(name))
    .join('&');
}

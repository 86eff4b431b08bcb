import { policyFor, type RegistryProxyConfig } from '../config.ts';
import { ProxyRequestError } from '../errors.ts';

/** Names under which Docker Hub is known, none of which is its registry. */
const DOCKER_HUB = new Set(['docker.io', 'index.docker.io']);
export const DOCKER_HUB_REGISTRY = 'registry-1.docker.io';

/**
 * Where the registry of an image name is: as configured, else over https, over http for this machine itself.
 * @param host `host` or `host:port`
 * @param source what named it, for the error
 * @throws {ProxyRequestError} it is no host
 */
export function registryBase(host: string, source: string, registries: RegistryProxyConfig['registries']): URL {
  const secure = parseBase(`https://${host}`, source);
  if (secure.pathname !== '/' || secure.search !== '' || secure.hash !== '') {
    throw new ProxyRequestError(400, `${source} "${host}" is not a registry host`);
  }
  const policy = policyFor(registries, secure);
  if (policy?.base !== undefined) return new URL(policy.base);
  const scheme = policy?.scheme ?? (isLoopback(secure.hostname) ? 'http' : 'https');
  return scheme === 'https' ? secure : parseBase(`http://${host}`, source);
}

/** @throws {ProxyRequestError} */
export function parseBase(text: string, source: string): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new ProxyRequestError(400, `${source} does not name a registry such as https://ghcr.io`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new ProxyRequestError(400, `${source} must not carry credentials`);
  }
  if (DOCKER_HUB.has(url.hostname)) url.hostname = DOCKER_HUB_REGISTRY;
  return url;
}

/** Joins a base and a target: `https://host/base/` and `/v2/x?n=1`; the target stays as it is, byte for byte. */
export function joinTarget(base: URL, target: string): URL {
  return new URL(`${base.origin}${base.pathname.replace(/\/+$/, '')}${target}`);
}

/** The same content where the configuration says a registry of that name is reached. */
export function reachedAt(url: URL, registries: RegistryProxyConfig['registries']): URL {
  const base = policyFor(registries, url)?.base;
  return base === undefined ? url : joinTarget(new URL(base), `${url.pathname}${url.search}`);
}

/** Whether a URL's host is this machine, where registries for tests and development speak http. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

import type { OutgoingHttpHeaders } from 'node:http';
import type { RegistryProxyConfig } from '../config.ts';
import { joinQuery, mapParameter, splitTarget } from './query.ts';
import { DOCKER_HUB_REGISTRY, joinTarget, registryBase } from './registry-base.ts';

/** A request whose path begins with the name of its registry. */
export interface PrefixTarget {
  readonly upstream: URL;
  /** The registry as the client wrote it: the first component of every path that it is told. */
  readonly prefix: string;
}

/** Longer first components are no host. */
const MAX_HOST_LENGTH = 255;

/**
 * Reads `/v2/docker.io/nginx/manifests/latest`: an image named `PROXY/docker.io/nginx:latest`. The first component is a registry when it has
 * a dot or a port, or is `localhost`.
 * @returns undefined for any other path
 * @throws {ProxyRequestError} the component looks like a host, but is none
 */
export function prefixTargetOf(
  target: string,
  registries: RegistryProxyConfig['registries'],
): PrefixTarget | undefined {
  const { path, search } = splitTarget(target);
  const [, prefix = '', rest = ''] = /^\/v2\/([^/]+)(\/.*)$/.exec(path) ?? [];
  const host = prefix.replace(/%3a/gi, ':');
  if (host.length > MAX_HOST_LENGTH || !/^(localhost|[a-z0-9[].*[.:].*)$/i.test(host)) return undefined;
  const base = registryBase(host, 'the path', registries);
  const isHub = base.hostname === DOCKER_HUB_REGISTRY;
  // Blobs may be mounted from a repository that the client knows under our name.
  const from = mapParameter(search, 'from', (value) => `from=${encodeURIComponent(withoutPrefix(value, host))}`);
  return { upstream: joinTarget(base, joinQuery(`/v2${isHub ? withLibrary(rest) : rest}`, from)), prefix };
}

/** Official images have one component for people and two for the registry. */
function withLibrary(path: string): string {
  return path.replace(/^\/([^/]+)(?=\/(?:manifests|blobs|tags|referrers)\/)/, (whole, name: string) =>
    name === '_catalog' ? whole : `/library/${name}`,
  );
}

function withoutPrefix(repository: string, host: string): string {
  return repository.startsWith(`${host}/`) ? repository.slice(host.length + 1) : repository;
}

/** Answers of the upstream name places there: they are made to name the same places behind this proxy. Other hosts stay. */
export function rewriteForPrefix(
  headers: OutgoingHttpHeaders,
  { upstream, prefix }: PrefixTarget,
): OutgoingHttpHeaders {
  const rewritten = { ...headers };
  const { location, link } = headers;
  if (typeof location === 'string') rewritten['location'] = placeBehind(location, upstream, prefix);
  if (link !== undefined) {
    rewritten['link'] = [link]
      .flat()
      .map((value) =>
        String(value).replace(/<([^>]*)>/g, (_, place: string) => `<${placeBehind(place, upstream, prefix)}>`),
      );
  }
  return rewritten;
}

function placeBehind(place: string, upstream: URL, prefix: string): string {
  const url = URL.parse(place, upstream.href);
  if (url === null || url.origin !== upstream.origin || !url.pathname.startsWith('/v2/')) return place;
  return `/v2/${prefix}${url.pathname.slice('/v2'.length)}${url.search}`;
}

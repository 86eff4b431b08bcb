import { type Credentials, policyFor, type RegistryPolicy } from '@d7y/registry-proxy';
import { Secret } from '@d7y/service-kit';
import type { DfdaemonConfig } from './schema.ts';

const NONE: Credentials = {};
/** Names under which Docker Hub is known; its registry has another one. */
const DOCKER_HUB = /^(docker\.io|index\.docker\.io)$/;
const DOCKER_HUB_REGISTRY = 'registry-1.docker.io';

/**
 * As whom callers without credentials of their own act, from `proxy.registries`.
 * @returns by scheme and authority of a registry: what to send it. Nothing over plain http, unless that is how the registry is
 *   configured: a password must not leave because somebody asked for the wrong scheme.
 */
export function nodeCredentials(
  { proxy }: DfdaemonConfig,
  policies: ReadonlyMap<string, RegistryPolicy>,
): (upstream: string) => Credentials {
  const byHost = new Map<string, Credentials>();
  for (const { url, host, username, password } of proxy.registries) {
    if (username === undefined || password === undefined) continue;
    const basic = Buffer.from(`${username}:${password.reveal()}`).toString('base64');
    const credentials = { authorization: new Secret(`Basic ${basic}`) };
    const names = [host?.toLowerCase(), url === undefined ? undefined : new URL(url).host];
    for (const name of names)
      if (name !== undefined) byHost.set(name.replace(DOCKER_HUB, DOCKER_HUB_REGISTRY), credentials);
  }
  return (upstream) => {
    const url = URL.parse(upstream);
    const credentials = url === null ? undefined : (byHost.get(url.host) ?? byHost.get(url.hostname));
    if (url === null || credentials === undefined) return NONE;
    return url.protocol === 'https:' || policyFor(policies, url)?.scheme === 'http' ? credentials : NONE;
  };
}

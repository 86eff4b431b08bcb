import { readFile } from 'node:fs/promises';
import type { HostTls } from '@d7y/origin-client';
import type { RegistryPolicy } from '@d7y/registry-proxy';
import { describeSystemError, StartError } from '@d7y/service-kit';
import type { DfdaemonConfig } from './schema.ts';

/**
 * How registries are reached that are not like all others: from `proxy.registries` and `proxy.registryMirror`, by `host` or `host:port`.
 * @throws {StartError} a certificate file cannot be read: going on without it would refuse or trust the wrong hosts
 */
export async function registryPolicies({ proxy }: DfdaemonConfig): Promise<ReadonlyMap<string, RegistryPolicy>> {
  const policies = new Map<string, RegistryPolicy>();
  const { addr, cert, insecure } = proxy.registryMirror;
  if (cert !== undefined || insecure) policies.set(new URL(addr).host, await policyOf({ cert, insecure }));
  for (const registry of proxy.registries) {
    const url = registry.url === undefined ? undefined : new URL(registry.url);
    const host = (registry.host ?? url?.host ?? '').toLowerCase();
    const scheme = url === undefined ? undefined : url.protocol === 'http:' ? ('http' as const) : ('https' as const);
    const policy = { ...(await policyOf(registry)), scheme };
    policies.set(host, url === undefined || url.host === host ? policy : { ...policy, base: url.href });
    // A name that stands for another address: what is said of it holds there.
    if (url !== undefined && !policies.has(url.host)) policies.set(url.host, policy);
  }
  return policies;
}

async function policyOf({ cert, insecure }: { cert?: string | undefined; insecure: boolean }): Promise<RegistryPolicy> {
  return { insecure, ca: cert === undefined ? undefined : await readCertificates(cert) };
}

async function readCertificates(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new StartError(describeSystemError(error) ?? `${path}: cannot be read`, { cause: error });
  });
  if (!text.includes('-----BEGIN CERTIFICATE-----')) throw new StartError(`${path}: holds no PEM certificate`);
  return text;
}

/** The same for the client that goes to origins. */
export function originTls(policies: ReadonlyMap<string, RegistryPolicy>): Readonly<Record<string, HostTls>> {
  return Object.fromEntries([...policies].map(([host, { ca, insecure }]) => [host, { ca, insecure }]));
}

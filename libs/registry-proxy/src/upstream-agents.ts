import { getCACertificates } from 'node:tls';
import type { UpstreamGuard } from '@d7y/service-kit';
import { Agent, buildConnector } from 'undici';
import { policyFor, type RegistryProxyConfig } from './config.ts';

/** Connections to one upstream at a time; more requests wait for one of them. */
const CONNECTIONS_PER_ORIGIN = 128;
export const CONNECT_TIMEOUT_MS = 10_000;

/** Connections to upstreams, one pool for each way of verifying certificates: the system's roots, a host's own, none. Owner of all of them. */
export class UpstreamAgents implements AsyncDisposable {
  readonly #registries: RegistryProxyConfig['registries'];
  readonly #guard: UpstreamGuard;
  readonly #agents = new Map<string, Agent>();

  constructor(registries: RegistryProxyConfig['registries'], guard: UpstreamGuard) {
    this.#registries = registries;
    this.#guard = guard;
  }

  for(upstream: URL): Agent {
    const policy = upstream.protocol === 'https:' ? policyFor(this.#registries, upstream) : undefined;
    const key = policy?.insecure ? 'insecure' : (policy?.ca ?? 'system');
    let agent = this.#agents.get(key);
    if (agent === undefined) {
      const connect = buildConnector({
        timeout: CONNECT_TIMEOUT_MS,
        allowH2: false,
        lookup: this.#guard.lookup,
        ...(policy?.insecure ? { rejectUnauthorized: false } : {}),
        ...(policy?.ca === undefined ? {} : { ca: [...getCACertificates('default'), policy.ca] }),
      });
      agent = new Agent({ connections: CONNECTIONS_PER_ORIGIN, connect: this.#guard.guarding(connect) });
      this.#agents.set(key, agent);
    }
    return agent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.destroy()));
  }
}

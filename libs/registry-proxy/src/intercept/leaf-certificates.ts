import { createSecureContext, type SecureContext } from 'node:tls';
import { LRUCache } from 'lru-cache';
import { type CertificateAuthority, LEAF_LIFE_MS } from './authority.ts';

/** Hosts whose certificates are kept. */
const MAX_HOSTS = 1000;

/** Certificates of intercepted hosts, ready for use; renewed at half of their life. */
export class LeafCertificates {
  readonly #contexts: LRUCache<string, SecureContext>;

  /** @param clock Unix time in ms */
  constructor(authority: CertificateAuthority, clock: () => number) {
    this.#contexts = new LRUCache<string, SecureContext>({
      max: MAX_HOSTS,
      ttl: LEAF_LIFE_MS / 2,
      ttlResolution: 0,
      perf: { now: clock },
      fetchMethod: async (host) => createSecureContext(await authority.issue(host, clock())),
    });
  }

  /** @param hostname as in an authority: IPv6 in brackets */
  async for(hostname: string): Promise<SecureContext> {
    return await this.#contexts.forceFetch(hostname.toLowerCase().replace(/^\[|\]$/g, ''));
  }
}

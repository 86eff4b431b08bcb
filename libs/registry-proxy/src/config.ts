/** What the proxy does with a request whose URL it matches; the first matching rule decides. */
export interface ProxyRule {
  /** Tested against the upstream URL without its query. */
  readonly regex: RegExp;
  /** Download over https whatever the scheme of the upstream. */
  readonly useTls: boolean;
  /** Pass straight through instead of downloading through the swarm. */
  readonly direct: boolean;
  /** `host` or `host:port` that takes the place of the upstream's. */
  readonly redirect: string | undefined;
  /** Query parameters that do not enter the task id, and count as a signature. */
  readonly filteredQueryParams: readonly string[];
}

/** How one registry is reached where that cannot be told from its name. */
export interface RegistryPolicy {
  /** Scheme for an `ns` query that names none; undefined: https, http for this machine itself. */
  readonly scheme?: 'http' | 'https' | undefined;
  /** URL at which a registry of this name is reached; undefined: at its name. */
  readonly base?: string | undefined;
  /** PEM certificates trusted for this host beside the system's. */
  readonly ca?: string | undefined;
  /** Do not verify this host's certificate. */
  readonly insecure?: boolean | undefined;
}

export interface RegistryProxyConfig {
  /** Upstream of mirror requests that name none. */
  readonly mirrorAddr: string;
  /** Whether a request may name its upstream (X-Dragonfly-Registry, `ns`); otherwise every request goes to `mirrorAddr`. */
  readonly dynamic: boolean;
  /** By `host` or `host:port`, lower-case; the form with a port wins. */
  readonly registries: ReadonlyMap<string, RegistryPolicy>;
  readonly enableTaskIdBasedBlobDigest: boolean;
  /** Rather fail than ask the origin for what a rule matches. */
  readonly disableBackToSource: boolean;
  /** Fetch the whole of what a range is asked of, unless X-Dragonfly-Prefetch says otherwise. */
  readonly prefetch: boolean;
  /** Hosts whose CONNECTs are read here, as patterns; undefined: those that a rule could match. Nothing without an authority. */
  readonly intercept: readonly string[] | undefined;
  /** How long both sides of a tunnel may be silent. */
  readonly tunnelIdleTimeoutMs: number;
  /** Piece length in bytes of content whose id does not name its digest, unless the client asks for one; undefined: by the length of the content. */
  readonly pieceLength: number | undefined;
  /** Requests a second, those within CONNECT included; more are answered 429. */
  readonly requestsPerSec: number;
  /** Value of X-Dragonfly-Server-IP. */
  readonly serverIp: string;
  /** How long an upstream may take to send the head of its answer, and then between two parts of its body. */
  readonly upstreamHeaderTimeoutMs: number;
  readonly upstreamIdleTimeoutMs: number;
  /** Answer for manifests and tags; otherwise they pass through. */
  readonly manifests: boolean;
  /** How long the registry is not asked again what a tag means. */
  readonly tagTtlMs: number;
  /** How long its last answer is believed while it is down. */
  readonly tagStaleTtlMs: number;
  /** How long a repository counts as public once the origin served it to nobody in particular; and while the origin is down. */
  readonly publicTtlMs: number;
  readonly publicWhenDownMs: number;
  /** How long a caller whom the origin accepted for private content stays accepted; and while the origin is down. */
  readonly acceptedTtlMs: number;
  readonly acceptedWhenDownMs: number;
}

export const REGISTRY_PROXY_DEFAULTS = {
  mirrorAddr: 'https://index.docker.io',
  dynamic: true,
  registries: new Map<string, RegistryPolicy>(),
  enableTaskIdBasedBlobDigest: false,
  disableBackToSource: false,
  prefetch: false,
  intercept: undefined,
  tunnelIdleTimeoutMs: 5 * 60_000,
  pieceLength: undefined,
  requestsPerSec: 4000,
  serverIp: '127.0.0.1',
  upstreamHeaderTimeoutMs: 30_000,
  upstreamIdleTimeoutMs: 60_000,
  manifests: true,
  tagTtlMs: 30_000,
  tagStaleTtlMs: 30 * 24 * 3600_000,
  publicTtlMs: 5 * 60_000,
  publicWhenDownMs: 30 * 24 * 3600_000,
  acceptedTtlMs: 5 * 60_000,
  acceptedWhenDownMs: 24 * 3600_000,
} as const satisfies RegistryProxyConfig;

/** The policy for an upstream, by its authority: `host:port` before `host`. */
export function policyFor(registries: RegistryProxyConfig['registries'], url: URL): RegistryPolicy | undefined {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return registries.get(`${url.hostname}:${port}`) ?? registries.get(url.hostname);
}

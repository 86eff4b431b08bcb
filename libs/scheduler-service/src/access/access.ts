import type { ContextValues } from '@connectrpc/connect';
import { DfError } from '@d7y/piece';
import { CALLER, type Caller, canonicalIp } from '@d7y/service-kit';
import type { Swarm } from '@d7y/swarm';

/** A caller would speak for somebody else. */
export class AccessDeniedError extends DfError {
  override readonly name = 'AccessDeniedError';
  readonly code = 'PERMISSION_DENIED';
  readonly retryable = false;
}

/** Of a call: its context. */
export interface CallContext {
  readonly values: ContextValues;
}

/** What a host says of itself when it announces itself. */
export interface AnnouncedHost {
  readonly id: string;
  readonly ip: string;
  readonly hostname: string;
}

export interface AccessOptions {
  /** Callers need certificates; otherwise everybody may do everything. */
  readonly isAuthenticated: boolean;
  /** A certificate speaks for its own host only. */
  readonly bindHosts: boolean;
  /** DNS names, URIs and common names of certificates that may do everything. */
  readonly operators: readonly string[];
}

/** URIs whose path ends so belong to operators, without being listed. */
const OPERATOR_URI = /^[a-z][a-z0-9+.-]*:\/\/[^/]+(?:\/.*)?\/d7y\/operator$/i;

/**
 * Decides for whom a caller may speak. A certificate is a host's own when it has, as alternative names,
 * - the host's IP address, or its host name (DNS): the id of a host is `<ip>-<host name>`, of a seed with `-seed` behind it; or
 * - a URI whose path ends in `/host/<host id>`.
 */
export class Access {
  readonly #options: AccessOptions;
  readonly #operators: ReadonlySet<string>;
  /** A host for which the caller of a connection speaks. */
  readonly #hostOf = new WeakMap<Caller, string>();

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#operators = new Set(options.operators.map((name) => name.toLowerCase()));
  }

  /** Whether the caller may speak for a host that it only names. */
  speaksFor({ values }: CallContext, hostId: string): boolean {
    const { isAuthenticated, bindHosts } = this.#options;
    if (!isAuthenticated || !bindHosts) return true;
    const caller = values.get(CALLER);
    return caller !== undefined && (this.#isOperator(caller) || isOwnId(caller, hostId));
  }

  /** @throws {AccessDeniedError} the caller may not speak for this host */
  checkHost(context: CallContext, hostId: string): void {
    if (!this.speaksFor(context, hostId)) throw new AccessDeniedError(denial(context, `host ${hostId}`));
  }

  /** @throws {AccessDeniedError} the caller may not announce this host, or not at this address */
  checkAnnounced(context: CallContext, host: AnnouncedHost): void {
    this.checkHost(context, host.id);
    const { isAuthenticated, bindHosts } = this.#options;
    if (!isAuthenticated || !bindHosts) return;
    const caller = context.values.get(CALLER);
    if (caller === undefined || this.#isOperator(caller) || hasUriOf(caller, host.id)) return;
    // The id holds the address or name that the certificate is for; where the host is must agree with it.
    if (partsOf(host.id)?.ip !== canonicalIp(host.ip)) {
      throw new AccessDeniedError(`host ${host.id} cannot be at ${host.ip}: its id begins with its address`);
    }
  }

  /** @throws {AccessDeniedError} the caller is no operator */
  checkOperator({ values }: CallContext): void {
    const { isAuthenticated, bindHosts } = this.#options;
    if (!isAuthenticated || (!bindHosts && this.#operators.size === 0)) return;
    const caller = values.get(CALLER);
    if (caller === undefined || !this.#isOperator(caller)) {
      throw new AccessDeniedError(
        'only operators may do this: see access.operators in the configuration of the scheduler',
      );
    }
  }

  /** @throws {AccessDeniedError} the caller is neither an operator nor a host that has announced itself */
  checkKnown({ values }: CallContext, swarm: Pick<Swarm, 'host' | 'hosts'>): void {
    const { isAuthenticated, bindHosts } = this.#options;
    if (!isAuthenticated || !bindHosts) return;
    const caller = values.get(CALLER);
    if (caller !== undefined && (this.#isOperator(caller) || this.#isHost(caller, swarm))) return;
    throw new AccessDeniedError('only operators, and hosts that have announced themselves, may ask this');
  }

  /** Looks through all hosts once for a connection, as long as the one that was found stays. */
  #isHost(caller: Caller, swarm: Pick<Swarm, 'host' | 'hosts'>): boolean {
    const found = this.#hostOf.get(caller);
    if (found !== undefined && swarm.host(found) !== undefined) return true;
    for (const { id } of swarm.hosts()) {
      if (!isOwnId(caller, id)) continue;
      this.#hostOf.set(caller, id);
      return true;
    }
    return false;
  }

  #isOperator({ commonName, dnsNames, uris }: Caller): boolean {
    return (
      uris.some((uri) => OPERATOR_URI.test(uri)) ||
      [commonName, ...dnsNames, ...uris].some((name) => this.#operators.has(name.toLowerCase()))
    );
  }
}

function denial({ values }: CallContext, whom: string): string {
  const { commonName = '', ipAddresses = [], dnsNames = [], uris = [] } = values.get(CALLER) ?? {};
  const names = [...ipAddresses, ...dnsNames, ...uris];
  return `the certificate of ${names.length === 0 ? commonName || 'nobody' : names.join(', ')} does not speak for ${whom}`;
}

function isOwnId(caller: Caller, hostId: string): boolean {
  if (hasUriOf(caller, hostId)) return true;
  const parts = partsOf(hostId);
  if (parts === undefined) return false;
  const hostname = parts.hostname.toLowerCase();
  return (
    caller.ipAddresses.includes(parts.ip) ||
    caller.dnsNames.some((name) => hostname === name || hostname === `${name}-seed`)
  );
}

function hasUriOf({ uris }: Caller, hostId: string): boolean {
  return uris.some((uri) => {
    const [kind, id] = uri.split('/').slice(-2);
    return kind === 'host' && (id === hostId || id === encodeURIComponent(hostId));
  });
}

/** `<ip>-<host name>`: an address holds no dash. */
function partsOf(hostId: string): { readonly ip: string; readonly hostname: string } | undefined {
  const at = hostId.indexOf('-');
  const ip = at < 0 ? undefined : canonicalIp(hostId.slice(0, at));
  return ip === undefined ? undefined : { ip, hostname: hostId.slice(at + 1) };
}

import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { DfError } from '@d7y/piece';
import { refusedKindOf } from './refused-addresses.ts';

/** This process does not connect there, whoever asks for it. */
export class UpstreamRefusedError extends DfError {
  override readonly name = 'UpstreamRefusedError';
  readonly code = 'UPSTREAM_REFUSED';
  readonly retryable = false;
  readonly host: string;
  constructor(host: string, reason: string) {
    super(`${host} is not connected to: ${reason}`);
    this.host = host;
  }
}

export interface UpstreamGuardOptions {
  /** What requests may name, as globs of `host` or `host:port`; empty for everything. */
  readonly allow?: readonly string[];
  /** What is never connected to, whoever names it; wins over `allow`. */
  readonly deny?: readonly string[];
  /** Refuse private networks and this machine, too. */
  readonly refusePrivate?: boolean;
}

/** Names of metadata services; their addresses are refused as well, but may be behind a proxy of the cloud. */
const METADATA_NAMES = [
  ...['metadata', 'metadata.google.internal', 'metadata.goog', 'metadata.azure.internal', 'metadata.tencentyun.com'],
  ...['instance-data', 'instance-data.ec2.internal'],
];

/**
 * Decides which hosts this process connects to on the word of others: a client that names a registry, a registry that redirects. Names are
 * judged when they are named, addresses at the moment of connecting, when it is known which one a name really has.
 */
export class UpstreamGuard {
  readonly #allow: readonly HostGlob[];
  readonly #deny: readonly HostGlob[];
  readonly #refusePrivate: boolean;

  constructor({ allow = [], deny = [], refusePrivate = false }: UpstreamGuardOptions = {}) {
    this.#allow = allow.map(hostGlob);
    this.#deny = [...deny, ...METADATA_NAMES].map(hostGlob);
    this.#refusePrivate = refusePrivate;
  }

  /** Whether a request may name this upstream. @throws {UpstreamRefusedError} */
  checkNamed(hostname: string, port: number): void {
    const host = bareHost(hostname);
    if (this.#allow.length > 0 && !this.#allow.some((matches) => matches(host, port))) {
      throw new UpstreamRefusedError(hostname, 'it is not among the upstreams that are allowed');
    }
    this.checkTarget(hostname, port);
  }

  /** Whether this host may be connected to, named by a redirect for instance. @throws {UpstreamRefusedError} */
  checkTarget(hostname: string, port: number): void {
    const host = bareHost(hostname);
    if (this.#deny.some((matches) => matches(host, port))) throw new UpstreamRefusedError(hostname, 'it is denied');
    if (isIP(host) !== 0) this.#checkAddress(hostname, host);
  }

  /** Resolves like the system does, and gives only addresses that may be connected to: an option of net.connect. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    dnsLookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, [] as LookupAddress[]);
      try {
        // One refused address among several is one too many: the name is not what it says it is.
        for (const { address } of found) this.#checkAddress(hostname, address);
      } catch (refusal) {
        return callback(refusal as Error, [] as LookupAddress[]);
      }
      const [first] = found;
      if (options.all === true || first === undefined) callback(null, found);
      else callback(null, first.address, first.family);
    });
  };

  /**
   * Puts the guard before a connector of undici's shape. Its own options must hold `lookup`.
   * @param connect is called only for hosts that may be connected to
   */
  guarding<
    Options extends { readonly hostname: string; readonly protocol: string; readonly port: string },
    Callback extends (error: Error, socket: null) => void,
  >(connect: (options: Options, callback: Callback) => void): (options: Options, callback: Callback) => void {
    return (options, callback) => {
      try {
        this.checkTarget(options.hostname, portOf(options));
      } catch (refusal) {
        return callback(refusal as Error, null);
      }
      connect(options, callback);
    };
  }

  #checkAddress(hostname: string, address: string): void {
    const kind = refusedKindOf(address, { refusePrivate: this.#refusePrivate });
    if (kind === undefined) return;
    const what = hostname === address ? 'this' : address;
    throw new UpstreamRefusedError(hostname, `${what} is a ${kind} address`);
  }
}

/** The port a URL leads to. */
export function portOf({ port, protocol }: { readonly port: string; readonly protocol: string }): number {
  if (port !== '') return Number(port);
  return protocol === 'https:' ? 443 : 80;
}

/** Whether a host and a port match. */
export type HostGlob = (host: string, port: number) => boolean;

/** Reads `ghcr.io`, `*.docker.io`, `10.0.0.*:5000`, `[::1]:5000`, `*`: a star stands for any characters, no port for every port. */
export function hostGlob(text: string): HostGlob {
  const [, withPort, port] = /^(\[.*\]|[^:]*):(\d{1,5})$/.exec(text) ?? [];
  const parts = bareHost(withPort ?? text).split('*');
  const pattern = new RegExp(`^${parts.map((part) => part.replace(/[\\^$.+?()[\]{}|]/g, '\\$&')).join('.*')}$`);
  const wanted = port === undefined ? undefined : Number(port);
  return (host, namedPort) => pattern.test(bareHost(host)) && (wanted === undefined || wanted === namedPort);
}

/** Lower case, without the brackets of IPv6 and the dot that ends a full name. */
function bareHost(hostname: string): string {
  return hostname
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '');
}

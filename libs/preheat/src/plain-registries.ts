import { OriginUnreachableError } from '@d7y/peer-engine';
import { hostGlob, type HostGlob, portOf } from '@d7y/service-kit';

type Address = Pick<URL, 'hostname' | 'protocol' | 'port'>;

/** What a server without TLS makes of the beginning of a TLS connection: an answer in clear, or the end of the connection. */
const NO_TLS =
  /^(EPROTO|ECONNRESET|UND_ERR_SOCKET|ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST))$/;

/**
 * Which registries may be spoken to without TLS where an image is named without a scheme, and they speak no TLS: as for Docker and
 * containerd those of this machine, and those that the configuration declares.
 */
export class PlainRegistries {
  readonly #declared: readonly HostGlob[];

  /** @param declared globs of `host` or `host:port` */
  constructor(declared: readonly string[]) {
    this.#declared = declared.map(hostGlob);
  }

  mayBePlain(url: Address): boolean {
    return isLoopback(url.hostname) || this.isDeclared(url);
  }

  /** Whether somebody has said that what goes there, credentials too, may go in clear. */
  isDeclared(url: Address): boolean {
    return this.#declared.some((matches) => matches(url.hostname, portOf(url)));
  }
}

/** Whether an origin could not be asked by https because it speaks http; where no port is named, also because nobody listens at that of https. */
export function speaksNoTls(error: unknown, { port }: Pick<URL, 'port'>): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof OriginUnreachableError) continue;
    const code = codeOf(cause);
    if (code !== undefined) return NO_TLS.test(code) || (code === 'ECONNREFUSED' && port === '');
  }
  return false;
}

function codeOf(error: Error & { code?: unknown; errors?: unknown }): string | undefined {
  if (typeof error.code === 'string') return error.code;
  // One error per address that was tried.
  return Array.isArray(error.errors) && error.errors[0] instanceof Error ? codeOf(error.errors[0]) : undefined;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Secret } from '@d7y/service-kit';
import { ProxyRequestError } from '../errors.ts';
import type { ProxyMode } from '../target.ts';

export interface ProxyCredentials {
  readonly username: string;
  readonly password: Secret;
}

const CHALLENGE = 'Basic realm="dragonfly", charset="UTF-8"';

/**
 * Lets in who knows the credentials of this proxy. Clients of a forward proxy send Proxy-Authorization. In the other modes Authorization is
 * the registry's own, so Proxy-Authorization counts there too; Authorization counts where it holds exactly the proxy's credentials, for
 * clients that can send nothing else, and then it is nobody else's.
 */
export class ProxyAuth {
  readonly #wanted: Buffer | undefined;
  /** Comparing digests under a key of this process takes the same time whatever is compared. */
  readonly #key = randomBytes(32);

  /** @param credentials undefined lets everybody in */
  constructor(credentials: ProxyCredentials | undefined) {
    this.#wanted = credentials && this.#digest(`${credentials.username}:${credentials.password.reveal()}`);
  }

  /**
   * @returns the headers without what was meant for this proxy
   * @throws {ProxyRequestError} 407 to clients of a forward proxy, else 401, with a challenge; 400 for what is no Basic at all
   */
  admit(headers: IncomingHttpHeaders, mode: ProxyMode | 'connect'): IncomingHttpHeaders {
    const { 'proxy-authorization': forProxy, ...others } = headers;
    // What comes through an intercepted CONNECT was let in with it.
    if (this.#wanted === undefined || mode === 'intercepted') return others;
    if (forProxy !== undefined && this.#accepts(forProxy)) return others;
    if (mode === 'connect' || mode === 'forward') {
      throw new ProxyRequestError(407, 'this proxy asks for credentials', { 'proxy-authenticate': CHALLENGE });
    }
    const { authorization, ...rest } = others;
    if (authorization !== undefined && this.#accepts(authorization)) return rest;
    throw new ProxyRequestError(401, 'this proxy asks for credentials', { 'www-authenticate': CHALLENGE });
  }

  #accepts(header: string): boolean {
    const encoded = /^basic +([A-Za-z0-9+/_-]+=*) *$/i.exec(header)?.[1];
    if (encoded === undefined || this.#wanted === undefined) return false;
    return timingSafeEqual(this.#digest(Buffer.from(encoded, 'base64')), this.#wanted);
  }

  #digest(credentials: string | Buffer): Buffer {
    return createHmac('sha256', this.#key).update(credentials).digest();
  }
}

import { createHmac, randomBytes } from 'node:crypto';
import type { AccessRequest } from './access-request.ts';

/** Names callers by what proves them, without keeping it: the names are worthless outside this process. */
export class Identities {
  readonly #key = randomBytes(32);

  /** Equal for equal proofs towards the same upstream. */
  of({ upstream, credentials, signature }: Pick<AccessRequest, 'upstream' | 'credentials' | 'signature'>): string {
    const proof = Object.entries(credentials).map(([name, value]) => [name, value.reveal()]);
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([upstream, proof.sort(), signature]))
      .digest('base64');
  }
}

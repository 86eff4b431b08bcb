import { createHmac, randomBytes } from 'node:crypto';
import type { AccessRequest } from './access-request.ts';

/** Names callers by what proves them, without keeping it: the names are worthless to whoever has not the key. */
export class Identities {
  readonly key: Uint8Array;

  /** @param key 32 bytes; a new one makes all earlier names unknown */
  constructor(key: Uint8Array = randomBytes(32)) {
    this.key = key;
  }

  /** Equal for equal proofs towards the same upstream. */
  of({ upstream, credentials, signature }: Pick<AccessRequest, 'upstream' | 'credentials' | 'signature'>): string {
    const proof = Object.entries(credentials).map(([name, value]) => [name, value.reveal()]);
    return this.seal(JSON.stringify([upstream, proof.sort(), signature]));
  }

  /** Stands for a text that cannot be told from it. */
  seal(text: string): string {
    return createHmac('sha256', this.key).update(text).digest('base64');
  }
}

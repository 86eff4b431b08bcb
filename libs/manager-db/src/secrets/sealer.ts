import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { Secret } from '@d7y/service-kit';
import { SealBrokenError } from '../errors.ts';

const VERSION = 'v1';
const ALGORITHM = 'aes-256-gcm';
const KEY_BYTES = 32;
/** The length for which GCM is made; random ones may repeat after some 2^32 seals under one key. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

interface Key {
  readonly id: string;
  readonly bytes: Buffer;
}

/**
 * Seals what must not lie in the database in clear: `v1.KEY.NONCE.CIPHERTEXT`, AES-256-GCM. What a seal is for is sealed with it, so that
 * one row's cannot be put into another's place.
 */
export class Sealer {
  readonly #current: Key;
  readonly #keys: ReadonlyMap<string, Key>;

  /**
   * @param secret of any length, as configured; the key is derived from it (HKDF-SHA256)
   * @param earlier secrets of which there may still be seals
   */
  constructor(secret: Secret, earlier: readonly Secret[] = []) {
    this.#current = keyOf(secret);
    this.#keys = new Map([this.#current, ...earlier.map(keyOf)].map((key) => [key.id, key]));
  }

  seal(plain: Secret, context: string): string {
    const { id, bytes } = this.#current;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, bytes, nonce).setAAD(boundTo(id, context));
    const sealed = Buffer.concat([cipher.update(plain.reveal(), 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return [VERSION, id, nonce.toString('base64url'), sealed.toString('base64url')].join('.');
  }

  /** @throws {SealBrokenError} another context or key, or changed bytes */
  open(text: string, context: string): Secret {
    const [version, id = '', nonce = '', sealed = '', ...others] = text.split('.');
    const key = this.#keys.get(id);
    if (version !== VERSION || others.length > 0) throw new SealBrokenError('this is no seal of this version');
    if (key === undefined)
      throw new SealBrokenError(`it was sealed with key ${id.slice(0, 16)}, which is not configured`);
    const bytes = Buffer.from(sealed, 'base64url');
    try {
      const decipher = createDecipheriv(ALGORITHM, key.bytes, Buffer.from(nonce, 'base64url'))
        .setAAD(boundTo(id, context))
        .setAuthTag(bytes.subarray(-TAG_BYTES));
      return new Secret(
        Buffer.concat([decipher.update(bytes.subarray(0, -TAG_BYTES)), decipher.final()]).toString('utf8'),
      );
    } catch (cause) {
      throw new SealBrokenError('it was sealed for something else, or changed since', { cause });
    }
  }
}

const boundTo = (keyId: string, context: string) => Buffer.from(`${VERSION} ${keyId} ${context}`);

function keyOf(secret: Secret): Key {
  const bytes = Buffer.from(hkdfSync('sha256', secret.reveal(), 'dragonfly', 'seal', KEY_BYTES));
  return { id: createHash('sha256').update('key id').update(bytes).digest('hex').slice(0, 8), bytes };
}

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { Secret } from '@d7y/service-kit';

const PREFIX = 'd7y.';
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** As long as a pull of many layers may take; whoever comes later asks again. */
export const SEALED_LIFE_SECONDS = 3600;
/** Passwords of cloud registries are tokens themselves, of some thousand bytes; a header line has to hold them twice encoded. */
const MAX_CREDENTIALS_LENGTH = 8 * 1024;

/** Whom a token of ours stands for. */
export interface Sealed {
  /** An Authorization header of the scheme Basic; undefined for a client that brought none. */
  readonly basic: Secret | undefined;
}

/**
 * Makes tokens that hold a client's own credentials, readable for this process only: nothing has to be remembered of clients, and a token that
 * leaks is worth nothing at the registry.
 */
export class SealedCredentials {
  readonly #key = randomBytes(32);
  readonly #clock: () => number;

  /** @param clock Unix time in ms */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** @returns undefined for credentials that are too long */
  seal(basic: string | undefined): string | undefined {
    if ((basic?.length ?? 0) > MAX_CREDENTIALS_LENGTH) return undefined;
    const expiresAtMs = this.#clock() + SEALED_LIFE_SECONDS * 1000;
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, iv);
    const text = Buffer.concat([cipher.update(JSON.stringify([expiresAtMs, basic ?? ''])), cipher.final()]);
    return PREFIX + Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64url');
  }

  /** Whether an Authorization header holds a token of ours, current or not. */
  isOurs(authorization: string | undefined): boolean {
    return authorization !== undefined && authorization.toLowerCase().startsWith(`bearer ${PREFIX}`);
  }

  /** @returns undefined for a token that has expired, or is of another process */
  open(authorization: string): Sealed | undefined {
    const bytes = Buffer.from(authorization.slice(`bearer ${PREFIX}`.length), 'base64url');
    if (bytes.length <= IV_BYTES + TAG_BYTES) return undefined;
    const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, IV_BYTES));
    decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
    try {
      const text = Buffer.concat([decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]);
      const [expiresAtMs, basic] = JSON.parse(text.toString()) as [number, string];
      if (expiresAtMs <= this.#clock()) return undefined;
      return { basic: basic === '' ? undefined : new Secret(basic) };
    } catch {
      return undefined; // not sealed here
    }
  }
}

import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { QueueFullError } from '@d7y/service-kit';
import type { Secret } from '@d7y/service-kit';

/** 19 MiB and two passes: what OWASP recommends at least; some 25 ms of one core. */
const COST = { memory: 19_456, passes: 2, parallelism: 1 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** Each takes its memory and a thread of the pool, which files and names need as well. */
const AT_ONCE = 2;
const WAITING = 64;
/** `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`, as other programs write it. */
const FORMAT =
  /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

const derive = promisify(argon2);

/** Hashes passwords with Argon2id, a few at a time, so that a crowd at the door takes neither memory nor all threads. */
export class PasswordHasher {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** @throws {QueueFullError} too many wait already */
  async hash(password: Secret): Promise<string> {
    const salt = randomBytes(SALT_BYTES);
    const hash = await this.#inTurn(() => hashOf(password, salt, HASH_BYTES, COST));
    const { memory, passes, parallelism } = COST;
    return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${unpadded(salt)}$${unpadded(hash)}`;
  }

  /** Whether this is the password; false as well for a hash in a format that is not known. @throws {QueueFullError} */
  async matches(stored: string, password: Secret): Promise<boolean> {
    const [, memory, passes, parallelism, salt = '', hash = ''] = FORMAT.exec(stored) ?? [];
    if (memory === undefined) return false;
    const expected = Buffer.from(hash, 'base64');
    const cost = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
    const actual = await this.#inTurn(() => hashOf(password, Buffer.from(salt, 'base64'), expected.length, cost));
    return timingSafeEqual(actual, expected);
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= AT_ONCE) {
      if (this.#waiting.length >= WAITING) throw new QueueFullError(WAITING);
      await new Promise<void>((resolve) => this.#waiting.push(resolve)); // whoever ends hands his place on
    } else this.#running++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

function hashOf(
  password: Secret,
  nonce: Buffer,
  tagLength: number,
  cost: { memory: number; passes: number; parallelism: number },
): Promise<Buffer> {
  return derive('argon2id', { message: password.reveal(), nonce, tagLength, ...cost });
}

const unpadded = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');

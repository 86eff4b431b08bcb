import type { Database } from '@d7y/manager-db';
import type { Logger } from '@d7y/service-kit';
import { delay } from '@d7y/service-kit';

/** What of a connection of the pool is used here. */
interface Connection {
  query(statement: string): Promise<unknown>;
  on(event: 'notification' | 'end', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  /** @param isUseless it is not to be used again */
  release(isUseless: boolean): void;
}

export interface AccessChangesOptions {
  readonly database: Database;
  /** Something has changed, here or elsewhere, or changes may have been missed. */
  readonly onChange: () => void;
  readonly logger: Logger;
  readonly retryMs?: number;
}

const CHANNEL = 'dragonfly_manager_access';
const RETRY_MS = 1_000;

/** Tells all managers of one database that rights, users, tokens or sessions have changed, and hears of it from them. */
export class AccessChanges implements AsyncDisposable {
  readonly #options: AccessChangesOptions;
  readonly #stopping = new AbortController();
  readonly #listening: Promise<void>;
  readonly #heard = Promise.withResolvers<void>();

  constructor(options: AccessChangesOptions) {
    this.#options = options;
    this.#listening = this.#listen();
  }

  /** Listens for the first time. */
  get isListening(): Promise<void> {
    return this.#heard.promise;
  }

  async announce(): Promise<void> {
    const { database, onChange, logger } = this.#options;
    onChange();
    try {
      await database.pool.query('select pg_notify($1, $2)', [CHANNEL, '']);
    } catch (error) {
      // The change itself is written: others see it when what they remember is too old.
      logger.warn({ err: error }, 'other managers could not be told that rights have changed');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    this.#heard.resolve();
    await this.#listening;
  }

  async #listen(): Promise<void> {
    const { database, onChange, logger, retryMs = RETRY_MS } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      let connection: Connection | undefined;
      try {
        connection = await database.pool.connect();
        await this.#hear(connection);
      } catch (error) {
        if (!signal.aborted) logger.warn({ err: error }, 'changes of rights by other managers are seen with a delay');
      } finally {
        connection?.release(true);
      }
      onChange();
      await delay(retryMs, { signal, unref: true }).catch(() => undefined);
    }
  }

  /** Until the connection ends. */
  async #hear(connection: Connection): Promise<void> {
    const { signal } = this.#stopping;
    const ended = Promise.withResolvers<void>();
    const stop = () => ended.resolve();
    connection.on('notification', () => this.#options.onChange());
    connection.on('error', (error) => ended.reject(error));
    connection.on('end', stop);
    signal.addEventListener('abort', stop);
    try {
      await connection.query(`listen ${CHANNEL}`);
      // What changed before is in none of the announcements.
      this.#options.onChange();
      this.#heard.resolve();
      if (!signal.aborted) await ended.promise;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }
}

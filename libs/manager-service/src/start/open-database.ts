import type { Database } from '@d7y/manager-db';
import { migrate, openDatabase } from '@d7y/manager-db';
import { postgresTlsOf } from '@d7y/preheat-queue';
import type { Logger } from '@d7y/service-kit';
import type { ManagerConfig } from '../config/read-manager-config.ts';

/** A quick start says nothing about waiting. */
const PATIENCE_BEFORE_WORDS_MS = 3_000;

/**
 * Opens the database, waits for it as long as it may take to come up, and brings its tables up to date.
 * @throws {StartError}
 */
export async function openManagerDatabase(
  { database: { postgres } }: Pick<ManagerConfig, 'database'>,
  { logger, signal }: { readonly logger: Logger; readonly signal: AbortSignal },
): Promise<Database> {
  const { host, port, user, password, dbname: database } = postgres;
  const words = setTimeout(
    () =>
      logger.warn(
        { host, port, patienceMs: postgres.connectTimeout },
        'the database does not answer yet, waiting for it',
      ),
    PATIENCE_BEFORE_WORDS_MS,
  ).unref();
  try {
    const opened = await openDatabase({
      ...{ address: { host, port, user, password, database }, tls: postgresTlsOf(postgres), signal },
      ...{
        maxConnections: postgres.poolSize,
        patienceMs: postgres.connectTimeout,
        applicationName: 'dragonfly-manager',
      },
      onIdleError: (error) => logger.warn({ err: error }, 'a connection to the database broke'),
    });
    if (postgres.migrate) {
      const tags = await migrate(opened);
      if (tags.length > 0) logger.info({ migrations: tags }, 'the tables were brought up to date');
    }
    return opened;
  } finally {
    clearTimeout(words);
  }
}

import type { ConnectionOptions } from 'node:tls';
import { delay, isError, safeText, StartError } from '@d7y/service-kit';
import type { Secret } from '@d7y/service-kit';
import { drizzle } from 'drizzle-orm/node-postgres';
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';
import pg from 'pg';
import { DatabaseUnavailableError } from './errors.ts';
import { asked, isConflict, sqlStateOf, translateError } from './translate-error.ts';

/** A pool or an open transaction: repositories never care which. */
export type Db = PgDatabase<PgQueryResultHKT, Record<string, never>>;

/** Where the server is and who asks. A host that starts with `/` is the directory of a unix socket. */
export interface DatabaseAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: Secret | undefined;
  readonly database: string;
}

export interface OpenDatabaseOptions {
  readonly address: DatabaseAddress;
  /** As for tls.connect; certificates are verified unless `rejectUnauthorized` is false. No TLS without it. */
  readonly tls?: ConnectionOptions | undefined;
  /** Connections of the pool at most; callers beyond it wait. */
  readonly maxConnections?: number;
  /** A statement that takes longer is ended by the server; the client gives up on a silent server 5 s later. */
  readonly statementTimeoutMs?: number;
  /** To connect, or to get a connection of the pool. */
  readonly connectTimeoutMs?: number;
  /** How long the first connection is tried while the server is not there or still starting. */
  readonly patienceMs?: number;
  /** Shown by the server in pg_stat_activity. */
  readonly applicationName?: string;
  /** Gets errors of connections nobody uses at that moment, such as when the server restarts. */
  readonly onIdleError?: (error: Error) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface Database extends AsyncDisposable {
  readonly db: Db;
  /** For what needs a connection of its own, and for the queue. */
  readonly pool: pg.Pool;
  /**
   * Runs `work` in a transaction, again (three times at most) when it was the victim of a deadlock or of a conflict. It may therefore
   * have no effects outside of the database.
   */
  transaction<T>(work: (tx: Db) => Promise<T>): Promise<T>;
  /** Asks whether the server answers. @throws {DatabaseUnavailableError} */
  ping(): Promise<void>;
}

/** Older ones lack what the queue and the migrations use. */
const OLDEST_SERVER = 140_000;
const DEFAULTS = {
  maxConnections: 10,
  statementTimeoutMs: 30_000,
  connectTimeoutMs: 5_000,
  patienceMs: 10_000,
} as const;
const RETRY_MS = 250;
const TRANSACTION_TRIES = 3;

/**
 * Opens a bounded pool and asks the server once, so that a wrong address or password shows at the start.
 * @throws {StartError} naming host and remedy
 */
export async function openDatabase(options: OpenDatabaseOptions): Promise<Database> {
  const { address, tls, signal } = options;
  const statementTimeoutMs = options.statementTimeoutMs ?? DEFAULTS.statementTimeoutMs;
  const pool = new pg.Pool({
    ...{ host: address.host, port: address.port, user: address.user, database: address.database },
    ...(address.password !== undefined && { password: address.password.reveal() }),
    ...(tls !== undefined && { ssl: tls }),
    max: options.maxConnections ?? DEFAULTS.maxConnections,
    connectionTimeoutMillis: options.connectTimeoutMs ?? DEFAULTS.connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    idle_in_transaction_session_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + 5_000,
    keepAlive: true,
    application_name: options.applicationName ?? 'dragonfly',
  });
  pool.on('error', (error) => options.onIdleError?.(error));
  try {
    await firstContact(pool, options);
  } catch (error) {
    await pool.end();
    signal?.throwIfAborted();
    throw startError(error, address);
  }
  const db: Db = drizzle(pool);
  return {
    db,
    pool,
    async transaction(work) {
      for (let tries = 1; ; tries++) {
        try {
          return await db.transaction(work);
        } catch (error) {
          if (!isConflict(error) || tries === TRANSACTION_TRIES) throw translateError(error);
        }
      }
    },
    async ping() {
      await asked(pool.query('select 1'));
    },
    async [Symbol.asyncDispose]() {
      if (!pool.ended) await pool.end();
    },
  };
}

async function firstContact(pool: pg.Pool, { address, patienceMs, signal }: OpenDatabaseOptions): Promise<void> {
  const deadlineMs = performance.now() + (patienceMs ?? DEFAULTS.patienceMs);
  for (;;) {
    signal?.throwIfAborted();
    try {
      const { rows } = await pool.query<{ number: number; version: string }>(
        `select current_setting('server_version_num')::int as number, current_setting('server_version') as version`,
      );
      const [server] = rows;
      if (server !== undefined && server.number < OLDEST_SERVER) {
        throw new StartError(
          `PostgreSQL at ${shown(address)} is version ${server.version}, use ${OLDEST_SERVER / 10_000} or newer`,
        );
      }
      return;
    } catch (error) {
      if (!mayComeUp(error) || performance.now() > deadlineMs) throw error;
      await delay(RETRY_MS, { signal });
    }
  }
}

/** Refused, hung up, or answered that it is starting up; a wrong name will not become right. */
function mayComeUp(error: unknown): boolean {
  return translateError(error) instanceof DatabaseUnavailableError && sqlStateOf(error) !== 'ENOTFOUND';
}

const shown = ({ host, port }: DatabaseAddress) =>
  host.startsWith('/') ? `${host}/.s.PGSQL.${port}` : `${host}:${port}`;

function startError(error: unknown, address: DatabaseAddress): unknown {
  if (error instanceof StartError) return error;
  const where = `PostgreSQL at ${shown(address)}`;
  const message = safeText(isError(error) ? error.message : String(error));
  const say = (text: string) => new StartError(text, { cause: error });
  switch (sqlStateOf(error)) {
    case 'ECONNREFUSED':
    case 'ENOENT':
      return say(`${where} refuses connections: start it, or correct its host and port`);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return say(`${where}: the name ${address.host} has no address, correct the host or the resolver`);
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ETIMEDOUT':
      return say(`${where} cannot be reached: check the network, or correct its host and port`);
    case '28P01':
    case '28000':
      return say(`${where} refuses user ${address.user}: ${message}; correct user, password or TLS`);
    case '3D000':
      return say(`${where} has no database ${address.database}: create it with "create database ${address.database}"`);
    case '53300':
      return say(`${where} has no connection left: raise max_connections, or lower the size of the pools`);
    default:
      return say(`${where}: ${message}`);
  }
}

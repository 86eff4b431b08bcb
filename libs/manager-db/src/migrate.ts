import { createHash } from 'node:crypto';
import { StartError } from '@d7y/service-kit';
import type { Database } from './open-database.ts';
import { MIGRATIONS } from './gen/migrations.ts';
import { asked, sqlStateOf, translateError } from './translate-error.ts';

export interface Migration {
  /** Name of its file; migrations apply in the order of their names. */
  readonly tag: string;
  readonly sql: string;
}

export interface MigrateOptions {
  /** All of them unless given; a prefix makes a database as an older version did. */
  readonly migrations?: readonly Migration[];
  /** How long to wait for another replica that migrates. */
  readonly patienceMs?: number;
}

/** "dragonfly" in the alphabet of a telephone; whoever migrates holds the advisory lock of this number. */
export const LOCK = 372_466_359;
const PATIENCE_MS = 300_000;
/** A migration may rewrite a large table; a server that says nothing for so long has gone. */
const STATEMENT_MS = 3_600_000;

/** The migrations that this version brings, oldest first. */
export const migrations: readonly Migration[] = MIGRATIONS;

/**
 * Brings the tables to this version: all missing migrations in one transaction, or none. Replicas that start at once wait for the first.
 * @returns the tags that were applied
 * @throws {StartError} the database has been migrated by a newer version or with other files
 */
export async function migrate(
  { pool }: Database,
  { migrations: wanted = migrations, patienceMs = PATIENCE_MS }: MigrateOptions = {},
): Promise<string[]> {
  const client = await asked(pool.connect());
  let broken = true;
  try {
    await client.query('begin');
    await client.query(`set local statement_timeout = 0; set local lock_timeout = ${Math.ceil(patienceMs)}`);
    // Of the session, with the transaction: it goes when either ends, also when this process is killed.
    await client.query({
      text: 'select pg_advisory_xact_lock($1)',
      values: [LOCK],
      query_timeout: patienceMs + 5000,
    } as {
      text: string;
      values: number[];
    });
    await client.query(`create table if not exists schema_migration (
      tag text primary key, hash char(64) not null, applied_at timestamptz not null default now())`);
    const { rows } = await client.query<{ tag: string; hash: string }>(
      'select tag, hash from schema_migration order by tag',
    );
    checkHistory(rows, wanted);
    const missing = wanted.slice(rows.length);
    for (const { tag, sql } of missing) {
      await client.query({ text: sql, query_timeout: STATEMENT_MS } as { text: string });
      await client.query('insert into schema_migration (tag, hash) values ($1, $2)', [tag, hashOf(sql)]);
    }
    await client.query('commit');
    broken = false;
    return missing.map(({ tag }) => tag);
  } catch (error) {
    await client.query('rollback').then(
      () => (broken = false),
      () => undefined,
    );
    if (sqlStateOf(error) === '55P03') {
      throw new StartError(`another manager has been migrating the database for ${Math.round(patienceMs / 1000)} s`, {
        cause: error,
      });
    }
    throw translateError(error);
  } finally {
    client.release(broken);
  }
}

/** What was applied must be the beginning of what is known, byte for byte. */
function checkHistory(applied: readonly { tag: string; hash: string }[], wanted: readonly Migration[]): void {
  applied.forEach(({ tag, hash }, index) => {
    const known = wanted[index];
    if (known === undefined) {
      throw new StartError(`the database was migrated by a newer version (${tag}), start that version`);
    }
    if (known.tag !== tag || hashOf(known.sql) !== hash) {
      throw new StartError(
        `the database was migrated with another ${tag} than this version has, use a database of its own`,
      );
    }
  });
}

function hashOf(sql: string): string {
  return createHash('sha256').update(sql).digest('hex');
}

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { databasesOfTests } from './_database.ts';
import { migrate, migrations } from './migrate.ts';
import { openDatabase } from './open-database.ts';
import * as schema from './schema/index.ts';

/** What is used of drizzle-kit, whose own types need packages that are not here. */
interface Generator {
  generateDrizzleJson(imports: Record<string, unknown>, previousId: string): Snapshot;
  generateMigration(previous: Snapshot, current: Snapshot): Promise<string[]>;
}
interface Snapshot {
  readonly id: string;
}

const MIGRATIONS = new URL('../migrations/', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, MIGRATIONS), 'utf8');

describe('the migrations', () => {
  it('in the program are those in the folder', () => {
    const { entries } = JSON.parse(read('meta/_journal.json')) as { entries: { tag: string }[] };
    expect(migrations).toEqual(entries.map(({ tag }) => ({ tag, sql: read(`${tag}.sql`) })));
    expect(migrations.map(({ tag }) => tag)).toEqual(migrations.map(({ tag }) => tag).toSorted());
  });

  it('make what the schema says: nothing is left to generate', async () => {
    const { generateDrizzleJson, generateMigration } = (await import('drizzle-kit/api')) as unknown as Generator;
    const last = String(migrations.length - 1).padStart(4, '0');
    const before = JSON.parse(read(`meta/${last}_snapshot.json`)) as Snapshot;
    expect(await generateMigration(before, generateDrizzleJson(schema, before.id))).toEqual([]);
  });
});

describe.each([
  ['from npm', false],
  ['of Debian', true],
])('migrate, on PostgreSQL %s,', (_, debian) => {
  const databases = databasesOfTests({ migrated: false, debian });

  it('applies each migration once, however many replicas start at once', async () => {
    const address = await databases.address();
    const replicas = await Promise.all([1, 2, 3, 4].map(() => openDatabase({ address, maxConnections: 1 })));
    const applied = await Promise.all(replicas.map((replica) => migrate(replica)));
    expect(applied.flat()).toEqual(migrations.map(({ tag }) => tag));
    for (const replica of replicas) await replica[Symbol.asyncDispose]();
  });

  it('applies all or nothing', async () => {
    await using database = await databases.open();
    const broken = [...migrations, { tag: '9999_broken', sql: 'create table a (x int); select no_such_column' }];
    await expect(migrate(database, { migrations: broken })).rejects.toMatchObject({ code: 'DATABASE_STATEMENT' });
    const { rows } = await database.pool.query(`select tablename from pg_tables where schemaname = 'public'`);
    expect(rows).toEqual([]);
    expect(await migrate(database)).toHaveLength(migrations.length);
  });

  it('leaves a database alone that a newer version has migrated, or one that knows other migrations', async () => {
    await using database = await databases.open();
    await migrate(database, { migrations: [...migrations, { tag: '9999_later', sql: 'select 1' }] });
    await expect(migrate(database)).rejects.toThrow(/newer version \(9999_later\)/);
    const [first, ...others] = migrations;
    const edited = [{ tag: first?.tag ?? '', sql: `${first?.sql ?? ''} ` }, ...others];
    await expect(migrate(database, { migrations: edited })).rejects.toThrow(/another 0000_first/);
  });

  it('gives up, and says why, when another replica does not end', async () => {
    const address = await databases.address();
    await using slow = await openDatabase({ address });
    await using waiting = await openDatabase({ address });
    let seen = (): void => undefined;
    const isMigrating = new Promise<void>((resolve) => (seen = resolve));
    const blocker = slow.pool.connect().then(async (client) => {
      await client.query('begin; select pg_advisory_xact_lock(372466359)');
      seen();
      return client;
    });
    await isMigrating;
    await expect(migrate(waiting, { patienceMs: 50 })).rejects.toThrow(/another manager has been migrating/);
    const client = await blocker;
    await client.query('rollback');
    client.release();
    expect(await migrate(waiting)).toHaveLength(migrations.length);
  });
});

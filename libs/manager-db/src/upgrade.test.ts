import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { databasesOfTests, NOON } from './_database.ts';
import { JobIntake } from './jobs/job-intake.ts';
import { migrate, migrations } from './migrate.ts';
import type { Database } from './open-database.ts';
import { readClusterVersion } from './repositories/cluster-set.ts';
import { SchedulerClusterRepository } from './repositories/scheduler-clusters.ts';

const ROWS = readFileSync(new URL('../testdata/rows-after-0000_first.sql', import.meta.url), 'utf8');

/** Every row of every table, as PostgreSQL writes it in JSON, without what was added to its columns since. */
async function allRows(database: Database, columnsOf?: ReadonlyMap<string, readonly string[]>) {
  const { rows: tables } = await database.pool.query<{ name: string }>(
    `select tablename as name from pg_tables where schemaname = 'public' and tablename <> 'schema_migration' order by 1`,
  );
  const all = new Map<string, Record<string, unknown>[]>();
  for (const { name } of tables) {
    const columns = columnsOf === undefined ? undefined : columnsOf.get(name);
    if (columnsOf !== undefined && columns === undefined) continue; // a new table
    const { rows } = await database.pool.query<{ row: Record<string, unknown> }>(
      `select to_jsonb(t) as row from "${name}" t order by to_jsonb(t)::text`,
    );
    const kept = rows.map(({ row }) =>
      columns === undefined ? row : Object.fromEntries(columns.map((key) => [key, row[key]])),
    );
    all.set(name, kept);
  }
  return all;
}

describe.each([
  ['from npm', false],
  ['of Debian', true],
])('an upgrade on PostgreSQL %s', (_, debian) => {
  const databases = databasesOfTests({ migrated: false, debian });

  it('brings every row through that a database of the first migration has, and goes on from there', async () => {
    await using database = await databases.open();
    expect(await migrate(database, { migrations: migrations.slice(0, 1) })).toEqual(['0000_first']);
    await database.pool.query(ROWS);
    const before = await allRows(database);
    for (const [table, rows] of before) expect([table, rows.length]).not.toEqual([table, 0]);
    expect(await migrate(database)).toEqual(migrations.slice(1).map(({ tag }) => tag));
    const columns = new Map([...before].map(([table, [row = {}]]) => [table, Object.keys(row)]));
    expect(await allRows(database, columns)).toEqual(before);

    const asked = {
      ...{ groupId: 'group_3', type: 'gc', bio: '', args: {}, userId: 1, clusterIds: [1], seedPeerClusterIds: [] },
      ...{ dedupKey: '3'.repeat(64), idempotencyKey: undefined, traceparent: undefined, seal: undefined },
      ...{ now: NOON, deadlineAt: NOON, secretExpiresAt: NOON },
    };
    expect(await new JobIntake(database).accept(asked)).toEqual({ kind: 'accepted', id: 3 });
    await new SchedulerClusterRepository(database.db).update(2, { bio: 'changed' }, NOON);
    expect(await readClusterVersion(database.db)).toBe(42);
  });
});

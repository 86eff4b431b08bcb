import { existsSync } from 'node:fs';
import { afterAll, beforeAll } from '@jest/globals';
import type { TestDatabases } from '@d7y/testkit';
import { startTestDatabases } from '@d7y/testkit';
import { migrateDatabase } from './migrate-database.ts';
import type { Database } from './open-database.ts';
import { openDatabase } from './open-database.ts';

const DEBIAN = '/usr/lib/postgresql/15';

/** A PostgreSQL for the tests of one file: the one from npm, or Debian's, which is the oldest that is tried. */
export function databasesOfTests(options: { migrated: boolean; debian?: boolean } = { migrated: true }) {
  let databases: TestDatabases;
  beforeAll(async () => {
    databases = await startTestDatabases({
      ...(options.migrated && { prepare: migrateDatabase }),
      ...(options.debian === true && existsSync(DEBIAN) && { software: DEBIAN }),
    });
  }, 60_000);
  afterAll(async () => await databases[Symbol.asyncDispose]());
  return {
    address: () => databases.create(),
    /** A database of its own for a test. */
    open: async (): Promise<Database> => openDatabase({ address: await databases.create() }),
  };
}

/** A moment to count from; what tests add to it are milliseconds. */
export const NOON = new Date('2026-03-01T12:00:00.000Z');
export const after = (ms: number, moment = NOON) => new Date(moment.getTime() + ms);

import { migrate } from './migrate.ts';
import type { DatabaseAddress } from './open-database.ts';
import { openDatabase } from './open-database.ts';

/** Opens a database, migrates it and closes it again. */
export async function migrateDatabase(address: DatabaseAddress): Promise<string[]> {
  await using database = await openDatabase({ address, maxConnections: 1 });
  return await migrate(database);
}

// For tests: starts a database in the folder given, says so, and stays until killed.
import { startEmbeddedDatabase } from './start-embedded-database.ts';

const database = await startEmbeddedDatabase({ folder: process.argv[2] ?? '', durable: false });
await database.createDatabase('kept');
process.stdout.write(`${database.pid}\n`);
setInterval(() => undefined, 1_000);

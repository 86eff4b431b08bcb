export { startEmbeddedDatabase } from './start-embedded-database.ts';
export type { EmbeddedAddress, EmbeddedDatabase, EmbeddedDatabaseOptions } from './start-embedded-database.ts';

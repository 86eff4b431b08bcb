export {
  AlreadyExistsError,
  DatabaseUnavailableError,
  InvalidValueError,
  NotFoundError,
  ReferenceNotFoundError,
  SealBrokenError,
  StatementError,
  StillInUseError,
} from './errors.ts';
export { migrate, migrations } from './migrate.ts';
export type { MigrateOptions, Migration } from './migrate.ts';
export { migrateDatabase } from './migrate-database.ts';
export { openDatabase } from './open-database.ts';
export type { Database, DatabaseAddress, Db, OpenDatabaseOptions } from './open-database.ts';
export * as schema from './schema/index.ts';
export type * from './schema/documents.ts';
export { asked, isConflict, translateError } from './translate-error.ts';

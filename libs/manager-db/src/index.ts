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
export { makeFirstRows } from './first-rows.ts';
export type { FirstRows, FirstRowsOptions } from './first-rows.ts';
export * from './repositories/index.ts';
export { PasswordHasher } from './secrets/password-hash.ts';
export { randomPassword } from './secrets/random-password.ts';
export { Sealer } from './secrets/sealer.ts';
export { hashToken, makeToken, prefixOf, TOKEN_KINDS } from './secrets/token-secret.ts';
export type { TokenKind } from './secrets/token-secret.ts';
export { JobIntake } from './jobs/job-intake.ts';
export type { Intake, JobEnd, NewJob, OutboxEntry, PendingJob } from './jobs/job-intake.ts';
export { JobWork } from './jobs/job-work.ts';
export type {
  JobLayer,
  JobTarget,
  LayerName,
  NewLayer,
  NewTarget,
  SchedulerAddress,
  WantedJob,
} from './jobs/job-work.ts';
export { declareClusters } from './declare-clusters.ts';
export type { DeclaredCluster } from './declare-clusters.ts';

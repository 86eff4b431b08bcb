export { startManager } from './compose.ts';
export type { ManagerOverrides, RunningManager, StartManagerOptions } from './compose.ts';
export { readManagerConfig } from './config/read-manager-config.ts';
export type { ManagerConfig, ManagerConfigSource } from './config/read-manager-config.ts';
export { resetPassword } from './start/reset-password.ts';
export type { ResetPasswordOptions } from './start/reset-password.ts';
export { VERSION as MANAGER_VERSION } from './version.ts';
export { openJobs } from './jobs/index.ts';
export type { OpenJobs, OpenJobsOptions } from './jobs/index.ts';

export { startScheduler } from './compose.ts';
export type { RunningScheduler, SchedulerOverrides, StartSchedulerOptions } from './compose.ts';
export { readSchedulerConfig } from './config.ts';
export type { SchedulerConfig, SchedulerConfigSource } from './config.ts';
export { VERSION as SCHEDULER_VERSION } from './version.ts';

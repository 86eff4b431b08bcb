export { startScheduler } from './compose.ts';
export type { RunningScheduler, SchedulerOverrides, StartSchedulerOptions } from './compose.ts';
export { readSchedulerConfig } from './config/read-scheduler-config.ts';
export type { SchedulerConfig, SchedulerConfigSource } from './config/read-scheduler-config.ts';
export { VERSION as SCHEDULER_VERSION } from './version.ts';

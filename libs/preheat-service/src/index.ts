export { startPreheatWorker } from './compose.ts';
export type { RunningPreheatWorker, WorkerOverrides } from './compose.ts';
export { readPreheatWorkerConfig } from './config/read-worker-config.ts';
export type { WorkerConfigSource } from './config/read-worker-config.ts';
export type { WorkerConfig } from './config/schema.ts';
export { VERSION as PREHEAT_WORKER_VERSION } from './version.ts';

export {
  PrivateElsewhereError,
  RangeNotSatisfiableError,
  TaskAbandonedError,
  TaskDigestMismatchError,
  TaskUnavailableError,
} from './errors.ts';
export { Engine } from './engine.ts';
export type { ActiveTask } from './engine.ts';
export { DEFAULT_ENGINE_OPTIONS } from './engine-options.ts';
export type {
  EngineComponents,
  EngineEvents,
  EngineLimits,
  EngineOptions,
  SelfHost,
  TaskWatch,
} from './engine-options.ts';
export { OriginChangedError, OriginStatusError, OriginUnreachableError, withoutQuery } from './ports/origin.ts';
export type { Origin, OriginBody, OriginProbe, OriginRequest, OriginValidators } from './ports/origin.ts';
export type { HostLoad, Parents } from './ports/parents.ts';
export type { RememberedSeed, SchedulerConnection, Schedulers, SeedMemory } from './ports/schedulers.ts';
export type { StallPolicy } from './reader-buffers.ts';
export type { LatePolicy } from './lateness.ts';
export type { HeldContent, TaskExplanation } from './explanation.ts';
export type { DownloadStory, ParentStory } from './journal.ts';
export type { BlamedFor, OriginLease, PieceVoucher, SwarmLink, VoucherBatch } from './ports/swarm-link.ts';
export { NoSpaceError } from './ports/task-store.ts';
export type { NewTask, StoredTask, TaskFile, TaskStore } from './ports/task-store.ts';
export { digestInUrl, digestOfRequest, taskIdOfRequest } from './task-request.ts';
export type { TaskRequest } from './task-request.ts';
export type { TaskOpener, TaskStream, TaskTraffic } from './task-opener.ts';

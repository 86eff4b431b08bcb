export { MemoryOrigin } from './fakes/memory-origin.ts';
export type { OriginCall, OriginContent } from './fakes/memory-origin.ts';
export { MemoryTaskStore } from './fakes/memory-task-store.ts';
export type { MemoryTaskStoreOptions } from './fakes/memory-task-store.ts';

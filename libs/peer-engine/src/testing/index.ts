// Stands-in for the ports, behind a door of their own: nothing that ships loads them.
export { MemoryOrigin } from './memory-origin.ts';
export type { OriginCall, OriginContent } from './memory-origin.ts';
export { MemorySwarm } from './memory-swarm.ts';
export type { Complaint } from './memory-swarm.ts';
export { MemoryTaskStore } from './memory-task-store.ts';
export type { MemoryTaskStoreOptions } from './memory-task-store.ts';

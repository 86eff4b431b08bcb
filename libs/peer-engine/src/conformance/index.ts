// Apart from the main door: these import Jest, which cannot be loaded outside of a test.
export { active, anonymous, collect, describeOrigin } from './origin.ts';
export type { OriginUnderTest } from './origin.ts';
export { describeSchedulerConnection } from './scheduler-connection.ts';
export type { SchedulerConnectionUnderTest } from './scheduler-connection.ts';
export { describeSwarmLink } from './swarm-link.ts';
export type { SwarmLinkUnderTest } from './swarm-link.ts';
export {
  completeTask,
  describeTaskStore,
  newTask,
  pattern,
  pieceRecord,
  readAll,
  taskIdNumber,
  writePiece,
} from './task-store.ts';
export type { TaskStoreUnderTest } from './task-store.ts';

export type { MeasureDisk, StoreUsage } from './disk-space.ts';
export {
  ContentLostError,
  StoreClosedError,
  StoreFormatError,
  StoreLockedError,
  StoreUnavailableError,
  TaskRemovedError,
} from './errors.ts';
export { openPieceStore } from './open-piece-store.ts';
export type { PieceStoreOptions } from './open-piece-store.ts';
export type { PieceStore } from './piece-store.ts';

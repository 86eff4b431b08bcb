export { AddressFormatError } from './errors.ts';
export { choosePiece } from './piece-selection.ts';
export type { PieceCandidateParent, PieceChoiceInput } from './piece-selection.ts';
export { schedulerRing } from './scheduler-ring.ts';
export type { SchedulerRing } from './scheduler-ring.ts';
export { seedOrder, seedRing } from './seed-ring.ts';
export type { SeedRing } from './seed-ring.ts';

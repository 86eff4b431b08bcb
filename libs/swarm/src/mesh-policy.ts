import { MeshAnswering } from './mesh-answering.ts';
import type { SchedulingPolicy } from './scheduling-policy.ts';

/** Ours: children wait for events, daemons of ours become mutual neighbours. */
export const meshPolicy: SchedulingPolicy = {
  name: 'mesh',
  createAnswering: (parts) => new MeshAnswering(parts),
};

import type { ByteRange } from '@d7y/piece';
import type { Priority } from './peer.ts';
import type { TaskSize } from './task.ts';

/** A peer introduces itself, for the first time or again after its conversation broke. */
export interface RegistrationFacts extends TaskSize {
  readonly hostId: string;
  readonly taskId: string;
  readonly peerId: string;
  readonly priority: Priority;
  readonly range: ByteRange | undefined;
  /** Asks for the origin rather than for parents. */
  readonly needBackToSource: boolean;
  /** Holds everything already and only says so. */
  readonly metadataOnly: boolean;
}

/** How a download ended. */
export interface EndFacts {
  /** The bytes came, or should have come, from the origin. */
  readonly fromOrigin: boolean;
}

/** What one host may say of another. */
export type Offence = 'wrongBytes' | 'falseVoucher' | 'stalled' | 'unreachable';

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
  /** Pieces that it fetches at the same time; 8 where it does not say. */
  readonly concurrentPieceCount?: number | undefined;
  /** Pieces that are here already: of a download that is taken up again. */
  readonly heldPieces?: Iterable<number> | undefined;
}

/** Pieces that a peer reports together. */
export interface PiecesFacts {
  readonly pieces: Iterable<number>;
  /** Who brought them; nobody brings pieces that were here before. */
  readonly deliveries: readonly DeliveryFacts[];
}

/** What one parent, or the origin, brought. */
export interface DeliveryFacts {
  /** Undefined for the origin. */
  readonly parentId: string | undefined;
  readonly pieces: number;
  readonly bytes: number;
  /** Time that the pieces took, added up. */
  readonly durationMs: number;
}

/** How a download ended. */
export interface EndFacts {
  /** The bytes came, or should have come, from the origin. */
  readonly fromOrigin: boolean;
}

/** What one host may say of another. */
export type Offence = 'wrongBytes' | 'falseVoucher' | 'stalled' | 'unreachable';

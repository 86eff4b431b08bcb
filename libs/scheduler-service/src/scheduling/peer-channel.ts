import type { ReadonlyPieceSet } from '@d7y/piece';
import type { ParentRole, PeerView, RefusalCode } from '@d7y/swarm';
import type { Context } from '@opentelemetry/api';

/** A parent to be told of. */
export interface ParentToOffer {
  readonly peer: PeerView;
  readonly role: ParentRole;
}

/** Where one peer hears what was decided: a stream of its own, or that of its daemon. Sending never throws. */
export interface PeerChannel {
  /** What is done on behalf of the peer joins this trace. */
  readonly trace: Context | undefined;
  /** Whom to fetch from, best first; replaces what was said before. */
  offerParents(parents: readonly ParentToOffer[]): void;
  grantOrigin(reason: string): void;
  /** Which pieces few have; there only where peers can be told. */
  tellHotPieces?(pieces: ReadonlyPieceSet): void;
  answerEmpty(): void;
  answerMetadataOnly(): void;
  /** The conversation is over: the peer is turned down. */
  refuse(code: RefusalCode, reason: string): void;
  /** The conversation is over: the peer speaks somewhere else by now. */
  supersede(): void;
}

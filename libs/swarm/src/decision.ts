import type { ReadonlyPieceSet } from '@d7y/piece';
import type { PeerView } from './peer.ts';

/** Why a registration or a request for parents is turned down. */
export type RefusalCode = 'notFound' | 'failedPrecondition' | 'resourceExhausted';

/**
 * What a parent is to a child: a `neighbour` exchanges pieces with it; a `fallback` is asked only for what no neighbour has brought for a
 * while. Stock daemons know no difference, so nobody is a fallback of theirs.
 */
export type ParentRole = 'neighbour' | 'fallback';

/** A parent in an offer. */
export interface OfferedParent {
  readonly peerId: string;
  /** The same, as it is now. */
  readonly peer: PeerView;
  readonly role: ParentRole;
}

/**
 * What is to be done now. Whoever feeds the swarm carries decisions out in the order in which they come: a service over
 * the network, a simulator on its virtual clock.
 */
export type Decision =
  /** Tell the peer whom to fetch from, best first; replaces what it was told before. */
  | { readonly kind: 'offerParents'; readonly peerId: string; readonly parents: readonly OfferedParent[] }
  /**
   * Tell the peer to fetch from the origin what it lacks. One that is fetching from parents goes on with that, and asks the origin for what
   * none of them has: it knows better than what is reported.
   */
  | { readonly kind: 'grantOrigin'; readonly peerId: string; readonly reason: string }
  /** Tell the peer which pieces few have; replaces what it was told of them before. Of no weight: it may go missing. */
  | { readonly kind: 'tellHotPieces'; readonly peerId: string; readonly pieces: ReadonlyPieceSet }
  | { readonly kind: 'answerEmpty'; readonly peerId: string }
  | { readonly kind: 'answerMetadataOnly'; readonly peerId: string }
  /** End the peer's conversation with an error. */
  | { readonly kind: 'refuse'; readonly peerId: string; readonly code: RefusalCode; readonly reason: string }
  /** Tell the seed to download the task, with the request of the peer; report back with seedTriggerEnded or seedTriggerFailed. */
  | { readonly kind: 'triggerSeed'; readonly taskId: string; readonly seedHostId: string; readonly peerId: string }
  /** Ask the host whether it is healthy, at once; report back with hostProbed. */
  | { readonly kind: 'probeHost'; readonly hostId: string }
  /** Call `tick` then, earlier than it would be: something falls due. */
  | { readonly kind: 'tickAt'; readonly atMs: number };

/** Turns a peer down. */
export const refusal = (peerId: string, code: RefusalCode, reason: string): Decision => ({
  kind: 'refuse',
  peerId,
  code,
  reason,
});

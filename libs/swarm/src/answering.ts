import type { Blame } from './blame.ts';
import type { Decision } from './decision.ts';
import type { DeliveryFacts } from './facts.ts';
import type { Peer } from './peer.ts';
import type { Roster } from './roster.ts';
import type { SwarmLimits } from './swarm-options.ts';

/** What a policy decides with. */
export interface AnsweringParts {
  readonly roster: Roster;
  readonly blame: Blame;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Until then seeds may still announce themselves for the first time. */
  readonly settledAtMs: number;
}

/**
 * Decides what children are told: parents, the origin, or nothing yet. The swarm keeps the tables and tells of what happened; what follows
 * from it for children is decided here, and so is where policies differ in what a fact means.
 */
export interface Answering {
  /** Serves whoever can be served by now, and hands over the decisions. */
  settle(nowMs: number): Decision[];
  /** Deadlines and further offers; `settle` follows. */
  tick(nowMs: number): void;
  /** Limits have changed that the policy keeps for itself. */
  adjust?(limits: SwarmLimits): void;
  /** The peer says that it fetches from the origin. */
  wentToOrigin(peer: Peer, nowMs: number): void;
  /** Pieces came from parents. */
  delivered(peer: Peer, deliveries: readonly DeliveryFacts[], nowMs: number): void;
  /** A parent could not deliver, or delivered wrong bytes. */
  parentFailed(peer: Peer, parentId: string): void;
  /** The parent has nothing that the peer lacks, or so it says. */
  parentExhausted(peer: Peer, parentId: string): void;
  /** The peer's download failed; it is concluded already. */
  peerFailed(peer: Peer): void;
  /** The conversation with an active peer broke without a last word. */
  conversationBroke(peer: Peer, nowMs: number): void;
}

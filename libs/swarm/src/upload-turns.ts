// Who owns what: nothing is owned here. These are the decisions of both ends of a turn, as functions of what each end knows by itself; the
// README has the conversation. A daemon calls them with what it measures, the simulator with what its links do.

/** Limits of turns; times in milliseconds. */
export interface TurnRules {
  /** What will last no longer than this is as good as sent, or received: the next turn may be given, the next offer taken. */
  readonly leadMs: number;
  /** The same for a holder of pieces that nobody else has, so that its uplink never waits for an answer. */
  readonly sourceLeadMs: number;
  /** Pieces that a host sends at once, when one alone does not fill its uplink. */
  readonly maxSending: number;
  /** Pieces that a host receives at once, when they come slowly. */
  readonly maxReceiving: number;
  /** Pieces that a host may be receiving, or have been promised, when it is offered one that nobody else has. */
  readonly maxBesideFresh: number;
  /** A link of which this part is in use is full. */
  readonly enoughUse: number;
  /** An offer without an answer for this long, and a round trip, is void. */
  readonly answerMs: number;
  /** A turn that was taken and brings nothing for this long, and a round trip, is given up by the child. */
  readonly beginMs: number;
  /** A child that was open for this long without an offer asks without a turn. */
  readonly patienceMs: number;
  /** A request without a turn that has waited for this long comes before all children that are open. */
  readonly requestMs: number;
  /** Pieces up to this size are asked for without a turn: they are over before an offer is answered. */
  readonly smallBytes: number;
}

export const TURN_RULES: TurnRules = {
  leadMs: 1,
  sourceLeadMs: 16,
  maxSending: 4,
  maxReceiving: 4,
  maxBesideFresh: 1,
  enoughUse: 0.7,
  answerMs: 50,
  beginMs: 250,
  patienceMs: 500,
  requestMs: 1000,
  smallBytes: 512 * 1024,
};

/** What a host knows of its uplink. What is as good as sent counts no more. */
export interface Uplink {
  /** Turns that were given and have not begun. */
  readonly given: number;
  readonly sending: number;
  /** Part of it that is in use, from 0 to 1. */
  readonly use: number;
}

/** What a host knows of its downlink. What is as good as received counts no more. */
export interface Downlink {
  /** Turns that were taken and have not begun. */
  readonly taken: number;
  readonly receiving: number;
  /** Part of it that is in use, from 0 to 1. */
  readonly use: number;
}

/** Whether a holder has a turn to give. */
export function mayGiveTurn({ given, sending, use }: Uplink, rules: TurnRules = TURN_RULES): boolean {
  if (given > 0) return false;
  return sending === 0 || (sending < rules.maxSending && use < rules.enoughUse);
}

/** Whether a host takes offers: it could receive more than it does. */
export function isOpenForTurns({ taken, receiving, use }: Downlink, rules: TurnRules = TURN_RULES): boolean {
  if (taken > 0) return false;
  return receiving === 0 || (receiving < rules.maxReceiving && use < rules.enoughUse);
}

/** Whether a child takes the turn that it is offered, provided that there is a piece for it. */
export function mayTakeTurn(
  downlink: Downlink,
  { isFromSource }: { readonly isFromSource: boolean },
  rules: TurnRules = TURN_RULES,
): boolean {
  if (isOpenForTurns(downlink, rules)) return true;
  return isFromSource && downlink.taken + downlink.receiving <= rules.maxBesideFresh;
}

/**
 * The child that is offered a turn: any one of those that may be. Costs a look at each child at most.
 * @param random uniform in [0, 1)
 */
export function drawChild<Child>(
  children: readonly Child[],
  mayBeOffered: (child: Child) => boolean,
  random: () => number,
): Child | undefined {
  // From a place on that is drawn: those behind gaps are drawn more often, which does no harm and saves a list.
  const first = Math.floor(random() * children.length);
  for (let turn = 0; turn < children.length; turn++) {
    const at = first + turn;
    const child = children[at < children.length ? at : at - children.length];
    if (child !== undefined && mayBeOffered(child)) return child;
  }
  return undefined;
}

// Who owns what: nothing is owned here. These are the decisions of both ends of a turn, as functions of what each end knows by itself; the
// README has the conversation. A daemon calls them with what it measures, the simulator with what its links do.

/** Limits of turns; times in milliseconds. */
export interface TurnRules {
  /** What will last no longer than this is as good as sent, or received: the next turn may be given, the next offer taken. See `turnLeadMs`. */
  readonly leadMs: number;
  /** Where answers take long, it is so many times as long as they take: the first child that is asked may pass … */
  readonly leadAnswers: number;
  /** … but no longer than this: more would only have pieces share the link, and then answers take longer, too. */
  readonly mostLeadMs: number;
  /** In place of that for what a holder of pieces that nobody else has is sending: it has the time to find a child that is free when it is. */
  readonly sourceLeadMs: number;
  /** A child takes the turn of such a holder though it receives something, when that lasts no longer than this beyond what the holder sends. */
  readonly sourceSlackMs: number;
  /** A piece that takes so many times as long as pieces took of late is slow: it does not keep others from beginning … */
  readonly slowTimes: number;
  /** … and where that is not known, one that takes this long. */
  readonly slowMs: number;
  /** Pieces that use less than this part of a link do not fill it. */
  readonly enoughUse: number;
  /** So many more turns may be under way at once for each time of a piece that answers take, rounded. */
  readonly turnsPerAnswer: number;
  /** Pieces that a host sends at once, slow ones and all. */
  readonly maxSending: number;
  /** Pieces that a host receives at once, slow ones and all. */
  readonly maxReceiving: number;
  /** Pieces that a host may be receiving when it is offered one that nobody else has, and the holder's uplink is idle. */
  readonly maxBesideFresh: number;
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
  leadMs: 3,
  leadAnswers: 1.5,
  mostLeadMs: 150,
  sourceLeadMs: 32,
  sourceSlackMs: 2,
  slowTimes: 2,
  slowMs: 1000,
  enoughUse: 0.7,
  turnsPerAnswer: 1.5,
  maxSending: 4,
  maxReceiving: 4,
  maxBesideFresh: 1,
  answerMs: 50,
  beginMs: 250,
  patienceMs: 500,
  requestMs: 1000,
  smallBytes: 512 * 1024,
};

/** What a host knows of the pieces on one of its links; what is as good as over counts no more. */
export interface LinkLoad {
  /** Turns that were given, or taken, and have not begun. */
  readonly promised: number;
  readonly running: number;
  /**
   * Whether there is room beside these: they were given the time to fill the link, and do not. The simulator asks how long they have taken, a
   * daemon what part of the link they use.
   */
  readonly areSlow: boolean;
  /** Turns that may be under way, promised and running together; see `turnsAtOnce`. */
  readonly atOnce: number;
}

/** An offer, as it reaches a child. */
export interface TurnOffer {
  /** From a holder of pieces that nobody else has. */
  readonly isFromSource: boolean;
  /** When the holder's uplink will be free, in ms from now. */
  readonly inMs: number;
}

/** Whether a holder has a turn to give. */
export const mayGiveTurn = (uplink: LinkLoad, rules: TurnRules = TURN_RULES): boolean =>
  hasRoom(uplink, rules.maxSending);

/** Whether a host takes offers: it could receive more than it does. */
export const isOpenForTurns = (downlink: LinkLoad, rules: TurnRules = TURN_RULES): boolean =>
  hasRoom(downlink, rules.maxReceiving);

/**
 * Whether a child takes the turn that it is offered, provided that there is a piece for it.
 * @param lastsMs how long what the child receives will last, all of it; 0 when nothing comes
 */
export function mayTakeTurn(
  downlink: LinkLoad,
  lastsMs: number,
  { isFromSource, inMs }: TurnOffer,
  rules: TurnRules = TURN_RULES,
): boolean {
  if (isOpenForTurns(downlink, rules)) return true;
  if (!isFromSource || downlink.promised > 0) return false;
  if (lastsMs <= inMs + rules.sourceSlackMs) return true;
  // An idle uplink of a source costs more than a downlink that two pieces share.
  return inMs <= 0 && downlink.running <= rules.maxBesideFresh;
}

/** How long before a piece is sent the next turn is to be offered, in ms. @param answerMs from an offer to the request that takes it, of late */
export const turnLeadMs = (answerMs: number, rules: TurnRules = TURN_RULES): number =>
  boundedLeadMs(answerMs * rules.leadAnswers, rules);

/** The lead that is nearest to what was measured. */
export const boundedLeadMs = (measuredMs: number, rules: TurnRules = TURN_RULES): number =>
  Math.min(Math.max(measuredMs, rules.leadMs), rules.mostLeadMs);

/**
 * How many turns may be under way on a link. One, as long as messages are quick: see `hasRoom`. But from the end of a piece to the first byte of
 * the next pass an offer, its answer and a request; where these take a good part of the time that a piece takes, a link with one turn
 * rests as long, and to share it costs less than that.
 * @param answerMs from an offer to the request that takes it, of late @param pieceMs that a piece takes on the link, of late; 0 while unknown
 */
export function turnsAtOnce(answerMs: number, pieceMs: number, rules: TurnRules = TURN_RULES): number {
  if (pieceMs <= 0) return 1;
  return Math.min(1 + Math.round((answerMs / pieceMs) * rules.turnsPerAnswer), rules.maxSending);
}

/** How much a piece that took longer than usual counts. */
const DRIFT = 0.05;

/**
 * How long a piece takes on a link, given how long the last one took: near the least of late, since what takes longer was held up at the
 * other end. Any unit; 0 while unknown.
 */
export const typicalDuration = (before: number, last: number): number =>
  before === 0 || last < before ? last : before + DRIFT * (last - before);

/** After so long, in ms, a piece on a link is slow. */
export const slowAfterMs = (typicalMs: number, rules: TurnRules = TURN_RULES): number =>
  typicalMs > 0 ? typicalMs * rules.slowTimes : rules.slowMs;

/**
 * Pieces go one by one: two that share a link come later than one after the other, and the other ends of both have half of theirs to
 * spare, which they would fill with yet others, until every piece in the swarm took twice as long. Only what is slow by
 * itself must not hold up others.
 */
function hasRoom({ promised, running, areSlow, atOnce }: LinkLoad, most: number): boolean {
  if (promised + running < atOnce) return true;
  return promised === 0 && running < most && areSlow;
}

/** Before all others. */
const FIRST_RANK = 0;

/**
 * The child that is offered a turn: any one of those that come first of those that may be. Costs a look at each child at most.
 * @param rankOf 0 comes before all others, Infinity not at all; asked first, so that it should be cheap
 * @param random uniform in [0, 1)
 */
export function drawChild<Child>(
  children: readonly Child[],
  rankOf: (child: Child) => number,
  mayBeOffered: (child: Child) => boolean,
  random: () => number,
): Child | undefined {
  let best: Child | undefined;
  let bestRank = Infinity;
  // From a place on that is drawn: those behind gaps are drawn more often, which does no harm and saves a list.
  const first = Math.floor(random() * children.length);
  for (let turn = 0; turn < children.length && bestRank > FIRST_RANK; turn++) {
    const at = first + turn;
    const child = children[at < children.length ? at : at - children.length];
    if (child === undefined) continue;
    const rank = rankOf(child);
    if (rank >= bestRank || !mayBeOffered(child)) continue;
    best = child;
    bestRank = rank;
  }
  return best;
}

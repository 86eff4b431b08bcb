import type { ProbationRule } from './blame.ts';
import { meshPolicy } from './mesh-policy.ts';
import type { SchedulingPolicy } from './scheduling-policy.ts';

/** Limits and times of a swarm; times in milliseconds. */
export interface SwarmOptions {
  readonly policy: SchedulingPolicy;
  /** How many peers of a task may fetch it from the origin at once. */
  readonly originLeaseCount: number;
  /** A child without a parent gets an origin lease when its task made no step towards one for this long … */
  readonly waitDeadlineMs: number;
  /** … and in any case after this long. */
  readonly maxWaitMs: number;
  /**
   * A host whose pieces are late may fetch them from the origin only after asking for this long, while a live daemon of ours has them or is
   * fetching them: a machine that is busy for a moment must not make the origin send its bytes twice.
   */
  readonly leasePatienceMs: number;
  /** The same for a host that gets pieces of other tasks meanwhile: its link is shared by many, and this task's turn is still to come … */
  readonly busyLeasePatienceMs: number;
  /** … where the last of them came so long ago at the most. Several pieces at a time take long on a slow link, and all end together. */
  readonly busyWindowMs: number;
  /** How long a lease outlives the conversation of its holder, which may be reconnecting. */
  readonly leaseGraceMs: number;
  /** How long any other peer outlives its conversation. */
  readonly peerGraceMs: number;
  /** Candidates in an offer to a stock daemon. */
  readonly candidateParentLimit: number;
  /** Candidates in an offer to a daemon of ours. */
  readonly ownCandidateParentLimit: number;
  /** Children that a peer of ours has at the most, so that none is the bottleneck of many. */
  readonly peerChildren: number;
  /** Children of ours that a seed, or whoever is at the origin, has: the others get its pieces through them. */
  readonly sourceChildren: number;
  /** Children of a normal host, all its tasks together … */
  readonly maxHostChildren: number;
  /** … and of a seed … */
  readonly maxSeedChildren: number;
  /** … where it says what it can upload, one for each of these at the most, or `peerChildren` of each task. */
  readonly bitsPerSecondPerChild: number;
  /** So many registrations of a task within `crowdWindowMs` are a crowd … */
  readonly crowdSize: number;
  readonly crowdWindowMs: number;
  /** … which is answered together after this long, so that those who come at once become neighbours. */
  readonly crowdGatherMs: number;
  /** A task gets another seed for every so many peers … */
  readonly peersPerSeed: number;
  /** … up to this many seeds. */
  readonly maxSeedsPerTask: number;
  /** A daemon of ours whose own stream is gone for this long is nobody's parent. */
  readonly linkGraceMs: number;
  /** Daemons of ours hear of new parents no more often than this. */
  readonly offerRefreshMs: number;
  /** How long a stock child waits for others that are about to start, when those who have are few or busy. */
  readonly gatherMs: number;
  readonly seedsEnabled: boolean;
  /** A seed that failed a task is not triggered for it again for this long. */
  readonly seedFailureMemoryMs: number;
  /**
   * After its start a swarm that knows no seed gives the seeds this long to announce themselves: more than they take to notice
   * that their scheduler is back (3 s), or the origin would be asked again for what they are fetching.
   */
  readonly settleMs: number;
  /** For hosts that do not deliver. */
  readonly probation: ProbationRule;
  /** For hosts that sent, or vouched for, bytes that are not those of the origin. */
  readonly distrust: ProbationRule;
  /** A host that fetches missing pieces from the origin must renew its lease within this time. */
  readonly hostLeaseMs: number;
  /** A downloading peer that reports nothing for this long is given up. */
  readonly pieceSilenceMs: number;
  readonly peerTtlMs: number;
  readonly hostTtlMs: number;
  readonly peerGcIntervalMs: number;
  readonly taskGcIntervalMs: number;
  readonly hostGcIntervalMs: number;
  readonly maxHosts: number;
  readonly maxTasks: number;
  readonly maxPeers: number;
}

/** What an operator may change at any time. */
export type SwarmLimits = Partial<
  Pick<SwarmOptions, 'candidateParentLimit' | 'maxHostChildren' | 'maxSeedChildren'> & {
    /** Peers looked at per attempt, by the policy `upstream` alone. */
    readonly filterParentLimit: number;
  }
>;

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

export const DEFAULT_SWARM_OPTIONS: SwarmOptions = {
  policy: meshPolicy,
  originLeaseCount: 1,
  waitDeadlineMs: 10 * SECOND,
  maxWaitMs: 30 * SECOND,
  leasePatienceMs: 2 * SECOND,
  busyLeasePatienceMs: 60 * SECOND,
  busyWindowMs: 10 * SECOND,
  leaseGraceMs: 5 * SECOND,
  linkGraceMs: 30 * SECOND,
  peerGraceMs: 30 * SECOND,
  candidateParentLimit: 3,
  ownCandidateParentLimit: 16,
  peerChildren: 20,
  sourceChildren: 100,
  maxHostChildren: 500,
  maxSeedChildren: 2000,
  bitsPerSecondPerChild: 2_000_000,
  crowdSize: 10,
  crowdWindowMs: 20,
  crowdGatherMs: 30,
  peersPerSeed: 500,
  maxSeedsPerTask: 3,
  offerRefreshMs: 250,
  gatherMs: 500,
  seedsEnabled: true,
  seedFailureMemoryMs: 30 * MINUTE,
  settleMs: 5 * SECOND,
  probation: { complainants: 3, windowMs: 30 * SECOND, durationMs: MINUTE },
  distrust: { complainants: 3, windowMs: 10 * MINUTE, durationMs: 10 * MINUTE },
  hostLeaseMs: MINUTE,
  pieceSilenceMs: 30 * MINUTE,
  peerTtlMs: 24 * HOUR,
  hostTtlMs: HOUR,
  peerGcIntervalMs: 10 * SECOND,
  taskGcIntervalMs: 30 * MINUTE,
  hostGcIntervalMs: 5 * MINUTE,
  maxHosts: 100_000,
  maxTasks: 500_000,
  maxPeers: 2_000_000,
};

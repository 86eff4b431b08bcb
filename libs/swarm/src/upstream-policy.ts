import type { SchedulingPolicy } from './scheduling-policy.ts';
import { UpstreamAnswering } from './upstream-answering.ts';

/** Limits of the published scheduler under their published names. */
export interface UpstreamRules {
  /** A peer is sent to the origin only while no more peers of the task than this are there. */
  readonly backToSourceCount: number;
  /** After so many attempts without a parent a peer is sent to the origin … */
  readonly retryBackToSourceLimit: number;
  /** … and after so many it is turned down. */
  readonly retryLimit: number;
  /** Pause between attempts, of which ¾ to 5⁄4 are waited. */
  readonly retryIntervalMs: number;
  readonly candidateParentLimit: number;
  /** Peers looked at per attempt. */
  readonly filterParentLimit: number;
}

export const DEFAULT_UPSTREAM_RULES: UpstreamRules = {
  backToSourceCount: 200,
  retryBackToSourceLimit: 4,
  retryLimit: 5,
  retryIntervalMs: 500,
  candidateParentLimit: 3,
  filterParentLimit: 15,
};

/**
 * The published scheduler, for comparison and on request: the same sample, filter, evaluation and limits; it polls, gives up after a while,
 * and never tells a peer of better parents unasked.
 */
export const upstreamPolicy = (rules: Partial<UpstreamRules> = {}): SchedulingPolicy => ({
  name: 'upstream',
  createAnswering: (parts) => new UpstreamAnswering(parts, { ...DEFAULT_UPSTREAM_RULES, ...rules }),
});

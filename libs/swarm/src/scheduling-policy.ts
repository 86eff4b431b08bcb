import type { PeerView } from './peer.ts';

/** Who shall be the parents of a child. */
export interface ParentQuestion {
  readonly child: PeerView;
  /** No more than this many. */
  readonly limit: number;
  /**
   * The rules that hold under every policy: another host that is reachable and in good standing, not blocked by the
   * child, with something to give, and no circle through a peer that cannot live with one.
   */
  readonly mayServe: (parent: PeerView) => boolean;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/**
 * Chooses parents among `child.task.sharers`. At least one anchor must be among them whenever there is one that may
 * serve, so that every child keeps a path to every byte.
 */
export interface SchedulingPolicy {
  readonly name: string;
  /** @returns peers for which `mayServe` holds, best first; empty when there are none */
  chooseParents(question: ParentQuestion): readonly PeerView[];
}

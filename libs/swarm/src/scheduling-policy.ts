import type { Answering, AnsweringParts } from './answering.ts';

/**
 * Who may be whose parent, who of them is best, how many are offered, and how long a child waits before it is told something else: all that
 * makes one scheduler different from another. Hosts, tasks, peers and their states are the same under every policy.
 */
export interface SchedulingPolicy {
  readonly name: string;
  /** Begins to decide for one swarm. */
  createAnswering(parts: AnsweringParts): Answering;
}

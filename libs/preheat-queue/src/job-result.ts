import type { JobReport } from './messages.ts';

/** The states that a task of a group can have, as the published manager names them. */
export type TaskState = 'PENDING' | 'RECEIVED' | 'STARTED' | 'RETRY' | 'SUCCESS' | 'FAILURE';

/** What came of a job in one cluster. */
export interface ClusterOutcome {
  readonly schedulerClusterId: number;
  readonly state: TaskState;
  readonly error?: string | undefined;
  /** What the type of the job tells beside the cluster's id: success_tasks and failure_tasks, peers … */
  readonly details: Readonly<Record<string, unknown>>;
}

export interface JobResultFacts {
  /** `group_<uuid>`. */
  readonly groupId: string;
  readonly type: string;
  readonly state: JobReport['outcome'] | 'PENDING';
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly clusters: readonly ClusterOutcome[];
  /** Of the job as a whole, where no cluster has one of its own. */
  readonly error?: string | undefined;
}

/** Results are kept for a day, in nanoseconds as the published manager says it. */
const TTL_NS = 86_400_000_000_000;

/** The result of a job as clients of the published manager read it. */
export function toJobResult(facts: JobResultFacts): Record<string, unknown> {
  const { groupId, type, state, createdAt, updatedAt, error } = facts;
  const createdAtText = createdAt.toISOString();
  // Who reads a failure looks for its reason in the states; there is always one.
  const clusters: readonly (ClusterOutcome | undefined)[] = facts.clusters.length > 0 ? facts.clusters : [undefined];
  return {
    group_uuid: groupId,
    state,
    created_at: createdAtText,
    updated_at: updatedAt.toISOString(),
    job_states: clusters.map((cluster, index) => ({
      task_uuid: `task_${groupId.replace(/^group_/, '')}${index === 0 ? '' : `-${index}`}`,
      task_name: type,
      state: cluster?.state ?? state,
      results: cluster === undefined ? [] : [{ ...cluster.details, scheduler_cluster_id: cluster.schedulerClusterId }],
      error: cluster?.error ?? (state === 'FAILURE' ? (error ?? '') : ''),
      created_at: createdAtText,
      ttl: TTL_NS,
    })),
  };
}

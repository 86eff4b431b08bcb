import type { CreateJob, JobType } from '@d7y/manager-api';

/** A job as REST took it, checked by the contract. Its arguments may hold credentials, which must not be stored or told in clear. */
export interface JobRequest {
  readonly type: JobType;
  readonly args: NonNullable<CreateJob['args']>;
  readonly bio: string;
  /** Who answers for it; undefined where nobody has signed in. */
  readonly userId: number | undefined;
  /** None: all clusters. */
  readonly schedulerClusterIds: readonly number[];
  readonly seedPeerClusterIds: readonly number[];
  /** The same caller with the same key within a day means the same job. */
  readonly idempotencyKey: string | undefined;
}

/** Which job now does what was asked for. */
export interface SubmittedJob {
  readonly id: number;
  /** It was there already: the same request is still pending, or came with the same key. */
  readonly isDuplicate: boolean;
}

/**
 * What REST needs of jobs beside their rows. All of it answers at once: work is done elsewhere. Errors, by code:
 * `JOB_NOT_FOUND`, `CLUSTER_NOT_FOUND`, `JOB_ARGUMENTS` (the request can never work), `JOB_CONFLICT` (not in this state),
 * `JOB_RATE_LIMITED` with `retryAfterMs`, `JOBS_UNAVAILABLE` (cannot be accepted now).
 */
export interface Jobs {
  submit(request: JobRequest, options?: { signal?: AbortSignal }): Promise<SubmittedJob>;
  /** Ends a pending job: state FAILURE, phase CANCELLED. Does nothing to a job that has ended. */
  cancel(id: number, options?: { signal?: AbortSignal }): Promise<void>;
  /** Lets a job that failed try again what failed, and only that. @throws `JOB_CONFLICT` unless it has failed */
  retry(id: number, options?: { signal?: AbortSignal }): Promise<void>;
  /** Cancels a pending job, and removes it. */
  remove(id: number, options?: { signal?: AbortSignal }): Promise<void>;
}

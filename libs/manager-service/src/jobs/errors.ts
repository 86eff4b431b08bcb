import { DfError } from '@d7y/piece';

export class JobNotFoundError extends DfError {
  override readonly name = 'JobNotFoundError';
  readonly code = 'JOB_NOT_FOUND';
  readonly retryable = false;
  constructor(id: number) {
    super(`there is no job ${id}`);
  }
}

export class JobClusterNotFoundError extends DfError {
  override readonly name = 'JobClusterNotFoundError';
  readonly code = 'CLUSTER_NOT_FOUND';
  readonly retryable = false;
}

/** The request can never work. */
export class JobArgumentsError extends DfError {
  override readonly name = 'JobArgumentsError';
  readonly code = 'JOB_ARGUMENTS';
  readonly retryable = false;
}

/** The job is not in a state for this. */
export class JobConflictError extends DfError {
  override readonly name = 'JobConflictError';
  readonly code = 'JOB_CONFLICT';
  readonly retryable = false;
}

/** A cluster takes no more jobs now. */
export class JobRateLimitError extends DfError {
  override readonly name = 'JobRateLimitError';
  readonly code = 'JOB_RATE_LIMITED';
  readonly retryable = true;
  readonly retryAfterMs = 1_000;
  constructor(clusterId: number) {
    super(`cluster ${clusterId} takes no more jobs in this second`);
  }
}

/** Jobs cannot be accepted now. */
export class JobsUnavailableError extends DfError {
  override readonly name = 'JobsUnavailableError';
  readonly code = 'JOBS_UNAVAILABLE';
  readonly retryable = true;
}

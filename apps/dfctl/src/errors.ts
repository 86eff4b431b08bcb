import { CliError } from '@d7y/cli-kit';

/** The daemon could not list, tell or remove a task. */
export class TaskError extends CliError {
  override readonly name = 'TaskError';
  readonly code = 'TASK';
  readonly retryable = true;
  readonly headline: string;
  readonly exitCode = 1;
  constructor(headline: string, message: string, options?: ConstructorParameters<typeof CliError>[1]) {
    super(message, options);
    this.headline = headline;
  }
}

/** The daemon cannot explain a download. */
export class ExplainError extends CliError {
  override readonly name = 'ExplainError';
  readonly code = 'EXPLAIN';
  readonly retryable = true;
  readonly headline = 'Explaining Failed!';
  readonly exitCode = 1;
}

/** A scheduler cannot be asked what it knows. */
export class SwarmListingError extends CliError {
  override readonly name = 'SwarmListingError';
  readonly code = 'SWARM_LISTING';
  readonly retryable = true;
  readonly headline = 'Listing the Swarm Failed!';
  readonly exitCode = 1;
}

/** A manager does not answer, or refuses. */
export class ManagerError extends CliError {
  override readonly name = 'ManagerError';
  readonly code = 'MANAGER';
  readonly retryable = true;
  readonly headline = 'Asking the Manager Failed!';
  readonly exitCode = 1;
}

/** A job that was waited for did not succeed. */
export class JobFailedError extends CliError {
  override readonly name = 'JobFailedError';
  readonly code = 'JOB_FAILED';
  readonly retryable = true;
  readonly headline = 'The Job Failed!';
  /** Told apart from everything that has to do with asking. */
  readonly exitCode = 3;
  readonly jobId: number;
  constructor(jobId: number, isCancelled: boolean, reasons: readonly string[]) {
    super(isCancelled ? `job ${jobId} was cancelled` : `job ${jobId} failed`, {
      details: reasons,
      remedy: `remove the reason and run "dfctl job retry ${jobId}": what has succeeded is not repeated`,
    });
    this.jobId = jobId;
  }
}

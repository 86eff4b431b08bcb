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

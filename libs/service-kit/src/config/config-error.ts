import { DfError } from '@d7y/piece';

/** The configuration cannot be used. Each problem is one line: `file:line: key: what, remedy`. */
export class ConfigError extends DfError {
  override readonly name = 'ConfigError';
  readonly code = 'CONFIG';
  readonly retryable = false;
  readonly problems: readonly string[];
  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(
      `${problems[0] ?? 'configuration'}${problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''}`,
      options,
    );
    this.problems = problems;
  }
}

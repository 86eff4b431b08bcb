import { DfError } from '@d7y/piece';

/** Ends the program: says what failed, why, and what helps. */
export abstract class CliError extends DfError {
  /** What was being done when it failed. */
  abstract readonly headline: string;
  abstract readonly exitCode: number;
  /** What the user can do about it. */
  readonly remedy: string | undefined;
  /** Further facts, a line each. */
  readonly details: readonly string[];
  constructor(
    message: string,
    options: ErrorOptions & { remedy?: string | undefined; details?: readonly string[] } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.remedy = options.remedy;
    this.details = options.details ?? [];
  }
}

/** What was asked for cannot be done as things are: a file in the way, a missing directory. */
export class ValidationError extends CliError {
  override readonly name = 'ValidationError';
  readonly code = 'VALIDATION';
  readonly retryable = false;
  readonly headline = 'Validating Failed!';
  readonly exitCode = 1;
}

/** Nobody serves at the daemon's socket. */
export class DaemonUnreachableError extends CliError {
  override readonly name = 'DaemonUnreachableError';
  readonly code = 'DAEMON_UNREACHABLE';
  readonly retryable = true;
  readonly headline = 'Connect Dfdaemon Failed!';
  readonly exitCode = 1;
}

/** The daemon does not tell how it is. */
export class StatusError extends CliError {
  override readonly name = 'StatusError';
  readonly code = 'STATUS';
  readonly retryable = true;
  readonly headline = 'Stating Failed!';
  readonly exitCode = 1;
}

/** The user has had enough (Ctrl-C), or the system has. */
export class CancelledError extends CliError {
  override readonly name = 'CancelledError';
  readonly code = 'CANCELLED';
  readonly retryable = true;
  readonly headline = 'Cancelled!';
  readonly exitCode: number;
  constructor(signal: 'SIGINT' | 'SIGTERM') {
    super(`stopped by ${signal}`);
    this.exitCode = signal === 'SIGINT' ? 130 : 143; // 128 and the number of the signal, as shells count
  }
}

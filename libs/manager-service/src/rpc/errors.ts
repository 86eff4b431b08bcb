import { DfError } from '@d7y/piece';

/** Nobody has registered under this name, or there is no such cluster. */
export class UnknownInstanceError extends DfError {
  override readonly name = 'UnknownInstanceError';
  readonly code = 'NOT_FOUND';
  readonly retryable = true;
}

/** The cluster that a registration names does not exist. */
export class UnknownClusterError extends DfError {
  override readonly name = 'UnknownClusterError';
  readonly code = 'CLUSTER_NOT_FOUND';
  readonly retryable = false;
}

/** A registration holds something that cannot be understood. */
export class InvalidRegistrationError extends DfError {
  override readonly name = 'InvalidRegistrationError';
  readonly code = 'INVALID_REQUEST';
  readonly retryable = false;
}

/** Another stream of the same instance is newer, or there are too many. */
export class KeepAliveRefusedError extends DfError {
  override readonly name = 'KeepAliveRefusedError';
  readonly code: 'SUPERSEDED' | 'TOO_MANY_REQUESTS';
  readonly retryable = true;
  constructor(code: 'SUPERSEDED' | 'TOO_MANY_REQUESTS', message: string) {
    super(message);
    this.code = code;
  }
}

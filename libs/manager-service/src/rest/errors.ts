import { DfError } from '@d7y/piece';

/** Nobody knows who asks: no credentials, or none that count. */
export class UnauthenticatedError extends DfError {
  override readonly name = 'UnauthenticatedError';
  readonly code = 'UNAUTHENTICATED';
  readonly retryable = false;
}

/** Who asks is known, and may not. */
export class ForbiddenError extends DfError {
  override readonly name = 'ForbiddenError';
  readonly code = 'FORBIDDEN';
  readonly retryable = false;
}

/** What was asked for cannot be understood or cannot be right. */
export class InvalidRequestError extends DfError {
  override readonly name = 'InvalidRequestError';
  readonly code = 'INVALID_REQUEST';
  readonly retryable = false;
}

/** It collides with what is there, or would break what must not break. */
export class ConflictError extends DfError {
  override readonly name = 'ConflictError';
  readonly code = 'CONFLICT';
  readonly retryable = false;
}

/** More than one caller may ask for in this time. */
export class TooManyRequestsError extends DfError {
  override readonly name = 'TooManyRequestsError';
  readonly code = 'TOO_MANY_REQUESTS';
  readonly retryable = true;
  readonly retryAfterMs: number;
  constructor(message: string, retryAfterMs: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** Not now. */
export class UnavailableError extends DfError {
  override readonly name = 'UnavailableError';
  readonly code = 'UNAVAILABLE';
  readonly retryable = true;
  /** When to ask again, if that is known. */
  readonly retryAfterMs: number | undefined;
  constructor(message: string, { retryAfterMs }: { readonly retryAfterMs?: number } = {}) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

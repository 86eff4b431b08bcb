import { DfError } from '@d7y/piece';

/** There is one already: a name, address or other identity is taken. */
export class AlreadyExistsError extends DfError {
  override readonly name = 'AlreadyExistsError';
  readonly code = 'ALREADY_EXISTS';
  readonly retryable = false;
  /** Name of the constraint, such as `scheduler_cluster_name_unique`. */
  readonly constraint: string;
  constructor(what: string, constraint: string, options?: ErrorOptions) {
    super(`${what} exists already`, options);
    this.constraint = constraint;
  }
}

/** No row has this id or name. */
export class NotFoundError extends DfError {
  override readonly name = 'NotFoundError';
  readonly code = 'NOT_FOUND';
  readonly retryable = false;
  constructor(what: string, key: string | number) {
    super(`there is no ${what} ${typeof key === 'number' ? key : JSON.stringify(key)}`);
  }
}

/** A row names another one that does not exist. */
export class ReferenceNotFoundError extends DfError {
  override readonly name = 'ReferenceNotFoundError';
  readonly code = 'REFERENCE_NOT_FOUND';
  readonly retryable = false;
}

/** A row cannot be removed because others belong to it. */
export class StillInUseError extends DfError {
  override readonly name = 'StillInUseError';
  readonly code = 'STILL_IN_USE';
  readonly retryable = false;
}

/** A value is too long, out of range or missing. */
export class InvalidValueError extends DfError {
  override readonly name = 'InvalidValueError';
  readonly code = 'INVALID_VALUE';
  readonly retryable = false;
}

/** The database cannot be asked now. */
export class DatabaseUnavailableError extends DfError {
  override readonly name = 'DatabaseUnavailableError';
  readonly code = 'DATABASE_UNAVAILABLE';
  readonly retryable = true;
}

/** The database refused a statement for a reason that lies in this program. Says which, never with values. */
export class StatementError extends DfError {
  override readonly name = 'StatementError';
  readonly code = 'DATABASE_STATEMENT';
  readonly retryable = false;
}

/** Something sealed cannot be opened: another key, another owner, or changed bytes. */
export class SealBrokenError extends DfError {
  override readonly name = 'SealBrokenError';
  readonly code = 'SEAL_BROKEN';
  readonly retryable = false;
}

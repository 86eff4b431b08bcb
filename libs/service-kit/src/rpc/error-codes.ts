import { Code, ConnectError } from '@connectrpc/connect';
import { DfError } from '@d7y/piece';
import { isError } from '../observe/is-error.ts';
import { safeText } from '../observe/redact.ts';

/** Response metadata that carries the stable code of a DfError. */
export const DF_CODE_HEADER = 'df-code';

/** The one place where codes of this system meet those of RPC. A code that is not listed is an internal error. */
export const RPC_CODES: Readonly<Record<string, Code>> = {
  ALREADY_EXISTS: Code.AlreadyExists,
  ANNOUNCEMENT_BACKLOG: Code.ResourceExhausted,
  CLUSTER_NOT_FOUND: Code.FailedPrecondition,
  CONFIG: Code.FailedPrecondition,
  DATABASE_UNAVAILABLE: Code.Unavailable,
  DIGEST_FORMAT: Code.InvalidArgument,
  HOST_NOT_FOUND: Code.NotFound,
  INVALID_ANNOUNCEMENT: Code.InvalidArgument,
  INVALID_ARGUMENT: Code.InvalidArgument,
  INVALID_REQUEST: Code.InvalidArgument,
  INVALID_VALUE: Code.InvalidArgument,
  NOT_FOUND: Code.NotFound,
  NO_PREHEAT_TARGET: Code.FailedPrecondition,
  NO_SPACE: Code.ResourceExhausted,
  ORIGIN_STATUS: Code.Internal,
  ORIGIN_UNREACHABLE: Code.Unavailable,
  PEER_NOT_FOUND: Code.NotFound,
  PERMISSION_DENIED: Code.PermissionDenied,
  PIECE_DIGEST_MISMATCH: Code.DataLoss,
  PIECE_OUT_OF_RANGE: Code.OutOfRange,
  QUEUE_FULL: Code.ResourceExhausted,
  RANGE_NOT_SATISFIABLE: Code.OutOfRange,
  REFERENCE_NOT_FOUND: Code.NotFound,
  STILL_IN_USE: Code.FailedPrecondition,
  SUPERSEDED: Code.Aborted,
  TASK_ABANDONED: Code.Aborted,
  TASK_DIGEST_MISMATCH: Code.DataLoss,
  TASK_NOT_FOUND: Code.NotFound,
  TASK_UNAVAILABLE: Code.Unavailable,
  TIMEOUT: Code.DeadlineExceeded,
  TOO_MANY_REQUESTS: Code.ResourceExhausted,
  UNAUTHENTICATED: Code.Unauthenticated,
  UPSTREAM_REFUSED: Code.PermissionDenied,
};

/**
 * What a caller is told of an error: a DfError by its sentence and codes, a ConnectError as it is, a cancelled call as such, and
 * anything else as an internal error without details.
 */
export function toConnectError(error: unknown, codes: Readonly<Record<string, Code>> = RPC_CODES): ConnectError {
  if (error instanceof ConnectError) return error;
  if (isDfError(error)) {
    const code = (Object.hasOwn(codes, error.code) ? codes[error.code] : undefined) ?? Code.Internal;
    return new ConnectError(safeText(error.message), code, { [DF_CODE_HEADER]: error.code }, undefined, error);
  }
  if (isError(error) && error.name === 'AbortError')
    return new ConnectError('the call was cancelled', Code.Canceled, undefined, undefined, error);
  return new ConnectError('internal error', Code.Internal, undefined, undefined, error);
}

/** The code of the DfError behind a failed call, when the other side sent one. */
export function dfCodeOf(error: unknown): string | undefined {
  if (isDfError(error)) return error.code;
  return error instanceof ConnectError ? (error.metadata.get(DF_CODE_HEADER) ?? undefined) : undefined;
}

/** By shape: an error from a second copy of the package counts too. */
function isDfError(error: unknown): error is DfError {
  if (error instanceof DfError) return true;
  const { code, retryable } = (error ?? {}) as { code?: unknown; retryable?: unknown };
  return isError(error) && typeof code === 'string' && typeof retryable === 'boolean';
}

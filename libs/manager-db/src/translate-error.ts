import { DfError } from '@d7y/piece';
import { isError } from '@d7y/service-kit';
import {
  AlreadyExistsError,
  DatabaseUnavailableError,
  InvalidValueError,
  ReferenceNotFoundError,
  StatementError,
  StillInUseError,
} from './errors.ts';

/** What an error of the driver carries beyond its message. */
interface PostgresError {
  /** SQLSTATE, or the code of a system error. */
  readonly code?: string;
  readonly constraint?: string;
  readonly table?: string;
  readonly column?: string;
  readonly detail?: string;
}

/** Classes of SQLSTATE by which the server says that it cannot serve now. */
const UNAVAILABLE = ['08', '53', '57', '58'];
const SYSTEM_ERRORS = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'ENOENT', 'EACCES']; // prettier-ignore
/** How the driver says the same, without a code. */
const DRIVER_SENTENCES =
  /connection terminated|timeout exceeded when trying to connect|query read timeout|connection ended unexpectedly|not queryable|pool after calling end/i;

/** SQLSTATE of the error that the driver raised, also from inside of what drizzle wraps around it. */
export function sqlStateOf(error: unknown): string | undefined {
  return driverErrorOf(error).code;
}

/** True for the victim of a deadlock or of a serialisation conflict: the transaction may simply run again. */
export function isConflict(error: unknown): boolean {
  const code = sqlStateOf(error);
  return code === '40001' || code === '40P01';
}

/** An error of the driver in the words of this library; the values of a statement never become part of it. */
export function translateError(error: unknown): unknown {
  if (error instanceof DfError) return error;
  const cause = driverErrorOf(error);
  const code = cause.code ?? '';
  const what = (cause.table ?? 'row').replaceAll('_', ' ');
  if (code === '23505') return new AlreadyExistsError(what, cause.constraint ?? '', { cause });
  if (code === '23503') {
    return cause.detail?.includes('is not present') === true
      ? new ReferenceNotFoundError(`${what} names what does not exist (${cause.constraint ?? ''})`, { cause })
      : new StillInUseError(`it cannot be removed while a ${what} belongs to it`, { cause });
  }
  if (code.startsWith('22') || code === '23502' || code === '23514') {
    return new InvalidValueError(`${what}${cause.column === undefined ? '' : `.${cause.column}`}: ${cause.message}`, {
      cause,
    });
  }
  if (isConflict(error)) return new DatabaseUnavailableError('the database was too busy with the same rows', { cause });
  if (
    SYSTEM_ERRORS.includes(code) ||
    (code.length === 5 && UNAVAILABLE.some((start) => code.startsWith(start))) ||
    DRIVER_SENTENCES.test(cause.message)
  ) {
    return new DatabaseUnavailableError(`the database cannot be asked: ${cause.message}`, { cause });
  }
  if (code.length === 5) return new StatementError(`${cause.message} (${code})`, { cause });
  return error;
}

/** Awaits a statement and translates its error. */
export async function asked<T>(statement: PromiseLike<T>): Promise<T> {
  try {
    return await statement;
  } catch (error) {
    throw translateError(error);
  }
}

/** Drizzle wraps the driver's error in one that quotes the statement with its values, and a dial to several addresses fails with several. */
function driverErrorOf(error: unknown): Error & PostgresError {
  let found = error;
  while (isError(found) && isError(found.cause) && !('code' in found)) found = found.cause;
  const several = (found as { errors?: readonly unknown[] } | undefined)?.errors;
  if (Array.isArray(several) && isError(several[0])) found = several[0];
  return isError(found) ? found : new Error(String(found));
}

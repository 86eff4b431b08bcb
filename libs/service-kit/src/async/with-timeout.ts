import { DfError } from '@d7y/piece';
import { linkedSignal } from './linked-signal.ts';

/** Something did not happen within its time. */
export class TimeoutError extends DfError {
  override readonly name = 'TimeoutError';
  readonly code = 'TIMEOUT';
  readonly retryable = true;
  /** What was waited for, as it appears in the message. */
  readonly what: string;
  readonly timeoutMs: number;
  constructor(what: string, timeoutMs: number) {
    super(`${what}: no result within ${timeoutMs} ms`);
    this.what = what;
    this.timeoutMs = timeoutMs;
  }
}

/**
 * Waits at most `timeoutMs` for the work. A function gets a signal that is aborted with the TimeoutError (or with the reason of
 * `options.signal`), so that it can stop; a bare promise is left to itself, its late failure observed.
 * @param what named in the error: `dial 10.0.0.7:4000`
 * @throws {TimeoutError} when time is up; the reason of `options.signal` when that comes first
 */
export async function withTimeout<T>(
  work: Promise<T> | ((signal: AbortSignal) => Promise<T>),
  timeoutMs: number,
  what: string,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<T> {
  options.signal?.throwIfAborted();
  using link = linkedSignal(options.signal);
  const timer = setTimeout(() => link.abort(new TimeoutError(what, timeoutMs)), timeoutMs);
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(link.signal.reason as Error);
  link.signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([typeof work === 'function' ? work(link.signal) : work, stopped]);
  } finally {
    clearTimeout(timer);
    link.signal.removeEventListener('abort', onAbort);
  }
}

import { OriginUnreachableError } from '@d7y/peer-engine';

/**
 * Asks with a deadline of its own, so that nobody's leaving ends the question for others.
 * @throws {OriginUnreachableError} no answer by then: a registry that hangs is one that is down
 */
export async function askInTime<T>(
  url: string,
  timeoutMs: number,
  ask: (options: { signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    return await ask({ signal: deadline });
  } catch (error) {
    if (deadline.aborted) throw new OriginUnreachableError(url, `no answer in ${timeoutMs} ms`, { cause: error });
    throw error;
  }
}

import { setTimeout as delay } from 'node:timers/promises';

export interface EventuallyOptions {
  /** Default: 30 s. */
  readonly timeoutMs?: number;
  /** Pause between two tries. Default: 50 ms. */
  readonly intervalMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Tries until `attempt` does not throw, and returns what it returned. For states of other processes that announce themselves in no
 * other way.
 * @throws the last error of `attempt` when the time is over
 */
export async function eventually<T>(attempt: () => T | Promise<T>, options: EventuallyOptions = {}): Promise<T> {
  const { timeoutMs = 30_000, intervalMs = 50, signal } = options;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() >= deadline) throw error;
    }
    await delay(intervalMs, undefined, signal === undefined ? {} : { signal });
  }
}

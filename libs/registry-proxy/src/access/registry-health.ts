import { OriginStatusError, OriginUnreachableError } from '@d7y/peer-engine';
import { LRUCache } from 'lru-cache';

/** Registries remembered as down, at most. */
const MAX_REGISTRIES = 1000;
/** For so long nobody waits for a registry that just failed while something older can be said instead. */
const DOWN_MS = 10_000;

/** Whether the origin cannot say anything now, as opposed to refusing this caller or this content. */
export function isDown(error: unknown): boolean {
  return (
    error instanceof OriginUnreachableError ||
    (error instanceof OriginStatusError && (error.status === 429 || error.status >= 500))
  );
}

/** Which registries failed a moment ago: a pull asks a registry dozens of things, and must not wait for each of them in vain. */
export class RegistryHealth {
  readonly #downUntilMs = new LRUCache<string, number>({ max: MAX_REGISTRIES });
  readonly #now: () => number;

  /** @param now milliseconds that only grow */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  isDown(upstream: string): boolean {
    return (this.#downUntilMs.get(upstream) ?? 0) > this.#now();
  }

  /** Takes the outcome of a question to a registry as news of it. */
  async watch<T>(upstream: string, question: Promise<T>): Promise<T> {
    try {
      const answer = await question;
      this.#downUntilMs.delete(upstream);
      return answer;
    } catch (error) {
      this.report(upstream, error);
      throw error;
    }
  }

  markDown(upstream: string): void {
    this.#downUntilMs.set(upstream, this.#now() + DOWN_MS);
  }

  report(upstream: string, error: unknown): void {
    if (isDown(error)) this.markDown(upstream);
    else if (error instanceof OriginStatusError) this.#downUntilMs.delete(upstream);
  }
}

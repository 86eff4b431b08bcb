import { delay } from '@d7y/service-kit';
import type { Exchange } from './exchange.ts';
import { headerOf } from './header-rules.ts';

/** Further attempts at an origin that refuses connections. */
const MAX_REFUSALS = 2;

export interface RetryPolicyOptions {
  /** Further attempts after the first, in a row and without a single byte. */
  readonly maxRetries: number;
  /** Before the first further attempt; doubled for each one after it. */
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  /** Most that is waited because the origin asks for it. */
  readonly maxRetryAfterMs: number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Unix time in ms. */
  readonly clock: () => number;
  readonly wait: (delayMs: number, options: { signal: AbortSignal }) => Promise<void>;
}

export const RETRY_DEFAULTS: RetryPolicyOptions = {
  maxRetries: 3,
  baseDelayMs: 200,
  maxDelayMs: 5_000,
  maxRetryAfterMs: 60_000,
  random: Math.random,
  clock: Date.now,
  wait: delay,
};

/** Statuses that pass: too many requests, and whatever is wrong inside the origin. */
export function isPassing(status: number): boolean {
  return status === 429 || (status >= 500 && status !== 501 && status !== 505);
}

/** Counts the attempts of one request and waits between them. */
export class Attempts {
  readonly #options: RetryPolicyOptions;
  #failures = 0;
  #isHopeless = false;

  constructor(options: RetryPolicyOptions) {
    this.#options = options;
  }

  /** The origin refused a connection. @param isKnown it did a moment ago, too: there is nothing to be waited for */
  refused({ isKnown }: { isKnown: boolean }): void {
    this.#isHopeless = isKnown || this.#failures >= MAX_REFUSALS;
  }

  /** Bytes came: what failed before does not count any more. */
  succeeded(): void {
    this.#failures = 0;
  }

  /**
   * Waits as long as it takes until another attempt makes sense.
   * @param refusal the origin's answer, when there was one
   * @returns false when there have been enough of them
   */
  async again(refusal: Exchange | undefined, { signal }: { signal: AbortSignal }): Promise<boolean> {
    const { maxRetries, baseDelayMs, maxDelayMs, maxRetryAfterMs, random, clock, wait } = this.#options;
    if (this.#isHopeless || this.#failures >= maxRetries) return false;
    const backOffMs = Math.min(maxDelayMs, baseDelayMs * 2 ** this.#failures) * (0.5 + random() / 2);
    this.#failures++;
    const asksForMs =
      refusal === undefined ? undefined : parseRetryAfter(headerOf(refusal.headers, 'retry-after'), clock());
    await wait(Math.max(backOffMs, Math.min(asksForMs ?? 0, maxRetryAfterMs)), { signal });
    return true;
  }
}

/** Milliseconds from now that a Retry-After header (seconds or a date, RFC 9110 §10.2.3) asks for; undefined when it says nothing. */
export function parseRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header)) return Number(header) * 1000;
  const atMs = Date.parse(header);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}

import type { Interceptor } from '@connectrpc/connect';
import { DfError } from '@d7y/piece';

/** Calls come faster than they may. */
export class TooManyCallsError extends DfError {
  override readonly name = 'TooManyCallsError';
  readonly code = 'TOO_MANY_REQUESTS';
  readonly retryable = true;
}

const UNLIMITED: ReadonlySet<string> = new Set(['grpc.health.v1.Health']);

/** So many calls and new streams a second; after a pause as many may come at once. */
export class CallLimit {
  readonly #perSecond: number;
  readonly #clock: () => number;
  #left: number;
  #filledAtMs: number;

  /** @param clock milliseconds that never go back */
  constructor(perSecond: number, clock: () => number) {
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#left = perSecond;
    this.#filledAtMs = clock();
  }

  /** Counts one call. @throws {TooManyCallsError} */
  enter(): void {
    const nowMs = this.#clock();
    this.#left = Math.min(this.#perSecond, this.#left + ((nowMs - this.#filledAtMs) * this.#perSecond) / 1000);
    this.#filledAtMs = nowMs;
    if (this.#left < 1) throw new TooManyCallsError(`more than ${this.#perSecond} calls a second`);
    this.#left -= 1;
  }

  /** For calls that come through interceptors. */
  readonly interceptor: Interceptor = (next) => (request) => {
    if (!UNLIMITED.has(request.service.typeName)) this.enter();
    return next(request);
  };
}

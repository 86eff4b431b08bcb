import type { Interceptor } from '@connectrpc/connect';
import type { Clock } from '../clock.ts';
import { SchedulerOverloadedError } from '../errors.ts';

/** Refuses calls, streams counted when they begin, that come faster than `perSecond`; a second's worth may come at once. */
export function createRateLimit(perSecond: number, clock: Clock): Interceptor {
  let tokens = perSecond;
  let filledAtMs = clock();
  return (next) => (request) => {
    const nowMs = clock();
    tokens = Math.min(perSecond, tokens + ((nowMs - filledAtMs) * perSecond) / 1000);
    filledAtMs = nowMs;
    if (tokens < 1) throw new SchedulerOverloadedError(`more than ${perSecond} calls a second`);
    tokens -= 1;
    return next(request);
  };
}

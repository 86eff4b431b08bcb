import { EVENT_TOPIC_NAMES, type EventTopic } from '@d7y/manager-api';
import { userIdOf } from '../auth/principal.ts';
import type { Call, Handlers } from '../call.ts';
import { ForbiddenError, UnauthenticatedError } from '../errors.ts';
import type { Services } from '../services.ts';

/** Neither this side nor what is in between keeps anything or waits for more. */
const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
};

export function eventHandlers({ events }: Services): Handlers<'events.listen'> {
  return {
    'events.listen'(call) {
      const userId = userIdOf(call.principal);
      if (userId === undefined) throw new UnauthenticatedError('sign in first');
      const topics = topicsOf(call);
      // Nobody would tell the stream any more that its client has gone.
      if (call.signal.aborted) return undefined;
      events.open({
        ...{ userId, topics, begin: () => call.takeOver(HEADERS) },
        async recheck() {
          await call.letInAgain();
          if (!topics.every((topic) => call.topics().has(topic)))
            throw new ForbiddenError('what you may listen to has changed');
        },
      });
      return undefined;
    },
  };
}

/** What is asked for and may be read. @throws {ForbiddenError} nothing of it */
function topicsOf(call: Call<'events.listen'>): readonly EventTopic[] {
  const mayRead = call.topics();
  const asked = new Set<string>(call.query.topics?.split(',') ?? EVENT_TOPIC_NAMES);
  const both = EVENT_TOPIC_NAMES.filter((topic) => asked.has(topic) && mayRead.has(topic));
  if (both.length === 0) throw new ForbiddenError('permission deny');
  return both;
}

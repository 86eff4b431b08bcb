import { routes } from '../route.ts';
import { EVENT_TOPICS, eventQuery, watchEvent } from '../schemas/events.ts';

export const EVENT_ROUTES = routes({
  'events.listen': {
    ...{ method: 'GET', path: '/events', doors: { session: true, token: 'job' } },
    access: { kind: 'topics', lists: EVENT_TOPICS },
    summary:
      'Listen to what changes, as server-sent events: a snapshot of each topic, then what is not as it was. ' +
      'Topics that the caller may not read are left out; the first event names those that are not.',
    query: eventQuery,
    event: watchEvent,
  },
});

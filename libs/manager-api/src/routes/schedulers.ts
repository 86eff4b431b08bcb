import { z } from 'zod';
import { right, routes } from '../route.ts';
import { idParams } from '../schemas/fields.ts';
import * as schemas from '../schemas/scheduler-clusters.ts';

const doors = { session: true } as const;
const [read, change] = [right('schedulers', 'read'), right('schedulers', '*')];

export const SCHEDULER_ROUTES = routes({
  'schedulers.create': {
    ...{ method: 'POST', path: '/schedulers', doors, access: change },
    summary: 'Make a scheduler.',
    body: schemas.createScheduler,
    answer: schemas.scheduler,
  },
  'schedulers.list': {
    ...{ method: 'GET', path: '/schedulers', doors, access: read, isPaged: true },
    summary: 'List schedulers.',
    query: schemas.schedulerQuery,
    answer: z.array(schemas.scheduler),
  },
  'schedulers.get': {
    ...{ method: 'GET', path: '/schedulers/:id', doors, access: read },
    summary: 'Show a scheduler.',
    params: idParams,
    answer: schemas.scheduler,
  },
  'schedulers.update': {
    ...{ method: 'PATCH', path: '/schedulers/:id', doors, access: change },
    summary: 'Change a scheduler. What is absent stays as it is.',
    params: idParams,
    body: schemas.updateScheduler,
    answer: schemas.scheduler,
  },
  'schedulers.delete': {
    ...{ method: 'DELETE', path: '/schedulers/:id', doors, access: change },
    summary: 'Remove a scheduler.',
    params: idParams,
  },

  'schedulerFeatures.list': {
    ...{ method: 'GET', path: '/scheduler-features', doors, access: right('scheduler-features', 'read') },
    summary: 'List what schedulers can be there for.',
    answer: schemas.schedulerFeatures,
  },
});

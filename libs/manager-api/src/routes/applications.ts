import { z } from 'zod';
import { right, routes } from '../route.ts';
import { idParams } from '../schemas/fields.ts';
import * as schemas from '../schemas/applications.ts';

const doors = { session: true } as const;
const [read, change] = [right('applications', 'read'), right('applications', '*')];

export const APPLICATION_ROUTES = routes({
  'applications.create': {
    ...{ method: 'POST', path: '/applications', doors, access: change },
    summary: 'Make an application.',
    body: schemas.createApplication,
    answer: schemas.application,
  },
  'applications.list': {
    ...{ method: 'GET', path: '/applications', doors, access: read, isPaged: true },
    summary: 'List applications.',
    query: schemas.applicationQuery,
    answer: z.array(schemas.application),
  },
  'applications.get': {
    ...{ method: 'GET', path: '/applications/:id', doors, access: read },
    summary: 'Show an application.',
    params: idParams,
    answer: schemas.application,
  },
  'applications.update': {
    ...{ method: 'PATCH', path: '/applications/:id', doors, access: change },
    summary: 'Change an application. What is absent stays as it is.',
    params: idParams,
    body: schemas.updateApplication,
    answer: schemas.application,
  },
  'applications.delete': {
    ...{ method: 'DELETE', path: '/applications/:id', doors, access: change },
    summary: 'Remove an application.',
    params: idParams,
  },
});

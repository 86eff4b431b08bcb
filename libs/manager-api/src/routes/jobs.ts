import { z } from 'zod';
import { right, routes } from '../route.ts';
import { idParams } from '../schemas/fields.ts';
import { createPreheat } from '../schemas/job-args.ts';
import * as schemas from '../schemas/jobs.ts';
import { preheat, startedPreheat } from '../schemas/preheats.ts';

const doors = { session: true, token: 'job' } as const;
const [read, change] = [right('jobs', 'read'), right('jobs', '*')];

export const JOB_ROUTES = routes({
  'jobs.create': {
    ...{ method: 'POST', path: '/jobs', doors, access: change },
    opening: { as: 'jobs.create:preheat', when: { type: 'preheat' } },
    summary: 'Have something done. The same request while it is pending gets the same job, and `X-Deduplicated: true`.',
    headers: schemas.jobHeaders,
    body: schemas.createJob,
    answer: schemas.job,
  },
  'jobs.list': {
    ...{ method: 'GET', path: '/jobs', doors, access: read, isPaged: true },
    summary: 'List jobs, newest first.',
    query: schemas.jobQuery,
    answer: z.array(schemas.job),
  },
  'jobs.get': {
    ...{ method: 'GET', path: '/jobs/:id', doors, access: read },
    opening: { as: 'jobs.get' },
    summary: 'Show a job.',
    params: idParams,
    answer: schemas.job,
  },
  'jobs.update': {
    ...{ method: 'PATCH', path: '/jobs/:id', doors, access: change },
    summary: 'Change what is said of a job.',
    params: idParams,
    body: schemas.updateJob,
    answer: schemas.job,
  },
  'jobs.delete': {
    ...{ method: 'DELETE', path: '/jobs/:id', doors, access: change },
    summary: 'Cancel a job if it is pending, and remove it.',
    params: idParams,
  },
  'jobs.cancel': {
    ...{ method: 'POST', path: '/jobs/:id/cancel', doors, access: change },
    summary: 'End a pending job.',
    params: idParams,
    answer: schemas.job,
  },
  'jobs.retry': {
    ...{ method: 'POST', path: '/jobs/:id/retry', doors, access: change },
    summary: 'Try again what of a job has failed.',
    params: idParams,
    answer: schemas.job,
  },
  'preheat.create': {
    ...{ method: 'POST', path: '/preheat', doors, access: right('preheat', '*') },
    opening: { as: 'preheat.create' },
    summary: 'Bring an image or a file to hosts before it is needed.',
    headers: schemas.jobHeaders,
    body: createPreheat,
    answer: startedPreheat,
  },
  'preheat.get': {
    ...{ method: 'GET', path: '/preheat/:id', doors, access: right('preheat', 'read') },
    opening: { as: 'preheat.get' },
    summary: 'Show how far a preheat has come.',
    params: idParams,
    answer: preheat,
  },
});

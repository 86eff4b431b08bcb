import { z } from 'zod';
import { right, routes } from '../route.ts';
import { idParams } from '../schemas/fields.ts';
import * as schemas from '../schemas/scheduler-clusters.ts';

const doors = { session: true } as const;
const [read, change] = [right('scheduler-clusters', 'read'), right('scheduler-clusters', '*')];

export const SCHEDULER_CLUSTER_ROUTES = routes({
  'schedulerClusters.create': {
    ...{ method: 'POST', path: '/scheduler-clusters', doors, access: change },
    summary: 'Make a cluster of schedulers.',
    body: schemas.createSchedulerCluster,
    answer: schemas.schedulerCluster,
  },
  'schedulerClusters.list': {
    ...{ method: 'GET', path: '/scheduler-clusters', doors, access: read, isPaged: true },
    summary: 'List clusters of schedulers.',
    query: schemas.schedulerClusterQuery,
    answer: z.array(schemas.schedulerCluster),
  },
  'schedulerClusters.get': {
    ...{ method: 'GET', path: '/scheduler-clusters/:id', doors, access: read },
    summary: 'Show a cluster of schedulers.',
    params: idParams,
    answer: schemas.schedulerCluster,
  },
  'schedulerClusters.update': {
    ...{ method: 'PATCH', path: '/scheduler-clusters/:id', doors, access: change },
    summary: 'Change a cluster of schedulers. What is absent stays as it is.',
    params: idParams,
    body: schemas.updateSchedulerCluster,
    answer: schemas.schedulerCluster,
  },
  'schedulerClusters.delete': {
    ...{ method: 'DELETE', path: '/scheduler-clusters/:id', doors, access: change },
    summary: 'Remove a cluster of schedulers.',
    params: idParams,
  },

  'schedulerClusters.attachScheduler': {
    ...{ method: 'PUT', path: '/scheduler-clusters/:id/schedulers/:scheduler_id', doors, access: change },
    summary: 'Move a scheduler into a cluster.',
    params: schemas.attachSchedulerParams,
  },
});

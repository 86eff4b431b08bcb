import { z } from 'zod';
import { right, routes } from '../route.ts';
import { idParams } from '../schemas/fields.ts';
import * as schemas from '../schemas/clusters.ts';

const doors = { session: true, token: 'cluster' } as const;
const [read, change] = [right('clusters', 'read'), right('clusters', '*')];

export const CLUSTER_ROUTES = routes({
  'clusters.create': {
    ...{ method: 'POST', path: '/clusters', doors, access: change },
    summary: 'Make a cluster: one of schedulers with its one of seed peers.',
    body: schemas.createCluster,
    answer: schemas.cluster,
  },
  'clusters.list': {
    ...{ method: 'GET', path: '/clusters', doors, access: read, isPaged: true },
    summary: 'List clusters.',
    query: schemas.clusterQuery,
    answer: z.array(schemas.cluster),
  },
  'clusters.get': {
    ...{ method: 'GET', path: '/clusters/:id', doors, access: read },
    summary: 'Show a cluster: one of schedulers with its one of seed peers.',
    params: idParams,
    answer: schemas.cluster,
  },
  'clusters.update': {
    ...{ method: 'PATCH', path: '/clusters/:id', doors, access: change },
    summary: 'Change a cluster: one of schedulers with its one of seed peers. What is absent stays as it is.',
    params: idParams,
    body: schemas.updateCluster,
    answer: schemas.cluster,
  },
  'clusters.delete': {
    ...{ method: 'DELETE', path: '/clusters/:id', doors, access: change },
    summary: 'Remove a cluster: one of schedulers with its one of seed peers.',
    params: idParams,
  },

  'clusters.match': {
    ...{ method: 'GET', path: '/clusters/match', doors, access: read },
    summary: 'Show which clusters a daemon belongs to, and why.',
    query: schemas.matchQuery,
    answer: schemas.clusterMatches,
  },
});

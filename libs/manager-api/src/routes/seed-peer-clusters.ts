import { z } from 'zod';
import { right, routes } from '../route.ts';
import { idParams } from '../schemas/fields.ts';
import * as schemas from '../schemas/seed-peer-clusters.ts';

const doors = { session: true } as const;
const [read, change] = [right('seed-peer-clusters', 'read'), right('seed-peer-clusters', '*')];

export const SEED_PEER_CLUSTER_ROUTES = routes({
  'seedPeerClusters.create': {
    ...{ method: 'POST', path: '/seed-peer-clusters', doors, access: change },
    summary: 'Make a cluster of seed peers.',
    body: schemas.createSeedPeerCluster,
    answer: schemas.seedPeerCluster,
  },
  'seedPeerClusters.list': {
    ...{ method: 'GET', path: '/seed-peer-clusters', doors, access: read, isPaged: true },
    summary: 'List clusters of seed peers.',
    query: schemas.seedPeerClusterQuery,
    answer: z.array(schemas.seedPeerCluster),
  },
  'seedPeerClusters.get': {
    ...{ method: 'GET', path: '/seed-peer-clusters/:id', doors, access: read },
    summary: 'Show a cluster of seed peers.',
    params: idParams,
    answer: schemas.seedPeerCluster,
  },
  'seedPeerClusters.update': {
    ...{ method: 'PATCH', path: '/seed-peer-clusters/:id', doors, access: change },
    summary: 'Change a cluster of seed peers. What is absent stays as it is.',
    params: idParams,
    body: schemas.updateSeedPeerCluster,
    answer: schemas.seedPeerCluster,
  },
  'seedPeerClusters.delete': {
    ...{ method: 'DELETE', path: '/seed-peer-clusters/:id', doors, access: change },
    summary: 'Remove a cluster of seed peers.',
    params: idParams,
  },

  'seedPeerClusters.attachSeedPeer': {
    ...{ method: 'PUT', path: '/seed-peer-clusters/:id/seed-peers/:seed_peer_id', doors, access: change },
    summary: 'Move a seed peer into a cluster.',
    params: schemas.attachSeedPeerParams,
  },
  'seedPeerClusters.linkSchedulerCluster': {
    ...{
      method: 'PUT',
      path: '/seed-peer-clusters/:id/scheduler-clusters/:scheduler_cluster_id',
      doors,
      access: change,
    },
    summary: 'Let these seed peers, and no others, serve a cluster of schedulers.',
    params: schemas.linkSchedulerClusterParams,
  },
});

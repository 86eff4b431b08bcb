import { z } from 'zod';
import { right, routes } from '../route.ts';
import { idParams } from '../schemas/fields.ts';
import * as schemas from '../schemas/seed-peer-clusters.ts';

const doors = { session: true } as const;
const [read, change] = [right('seed-peers', 'read'), right('seed-peers', '*')];

export const SEED_PEER_ROUTES = routes({
  'seedPeers.create': {
    ...{ method: 'POST', path: '/seed-peers', doors, access: change },
    summary: 'Make a seed peer.',
    body: schemas.createSeedPeer,
    answer: schemas.seedPeer,
  },
  'seedPeers.list': {
    ...{ method: 'GET', path: '/seed-peers', doors, access: read, isPaged: true },
    summary: 'List seed peers.',
    query: schemas.seedPeerQuery,
    answer: z.array(schemas.seedPeer),
  },
  'seedPeers.get': {
    ...{ method: 'GET', path: '/seed-peers/:id', doors, access: read },
    summary: 'Show a seed peer.',
    params: idParams,
    answer: schemas.seedPeer,
  },
  'seedPeers.update': {
    ...{ method: 'PATCH', path: '/seed-peers/:id', doors, access: change },
    summary: 'Change a seed peer. What is absent stays as it is.',
    params: idParams,
    body: schemas.updateSeedPeer,
    answer: schemas.seedPeer,
  },
  'seedPeers.delete': {
    ...{ method: 'DELETE', path: '/seed-peers/:id', doors, access: change },
    summary: 'Remove a seed peer.',
    params: idParams,
  },
});

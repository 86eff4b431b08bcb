import { z } from 'zod';
import { right, routes } from '../route.ts';
import { idParams } from '../schemas/fields.ts';
import * as schemas from '../schemas/peers.ts';

const doors = { session: true } as const;
const [read, change] = [right('peers', 'read'), right('peers', '*')];

export const PEER_ROUTES = routes({
  'peers.create': {
    ...{ method: 'POST', path: '/peers', doors, access: change },
    summary: 'Make a host.',
    body: schemas.createPeer,
    answer: schemas.peer,
  },
  'peers.list': {
    ...{ method: 'GET', path: '/peers', doors, access: read, isPaged: true },
    summary: 'List hosts, as their schedulers last told.',
    query: schemas.peerQuery,
    answer: z.array(schemas.peer),
  },
  'peers.get': {
    ...{ method: 'GET', path: '/peers/:id', doors, access: read },
    summary: 'Show a host.',
    params: idParams,
    answer: schemas.peer,
  },
  'peers.delete': {
    ...{ method: 'DELETE', path: '/peers/:id', doors, access: change },
    summary: 'Remove a host.',
    params: idParams,
  },
});

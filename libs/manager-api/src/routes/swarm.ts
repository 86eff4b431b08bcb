import { z } from 'zod';
import { right, routes } from '../route.ts';
import * as schemas from '../schemas/swarm.ts';

const doors = { session: true } as const;

/** What schedulers tell when asked. Those that did not answer in time are named in `X-Incomplete`. */
export const SWARM_ROUTES = routes({
  'tasks.list': {
    ...{ method: 'GET', path: '/tasks', doors, access: right('tasks', 'read'), isPaged: true },
    opening: { as: 'tasks.list' },
    summary: 'List tasks: those that schedulers know, then those that they knew.',
    query: schemas.taskQuery,
    answer: z.array(schemas.task),
  },
  'taskPeers.list': {
    ...{ method: 'GET', path: '/task-peers', doors, access: right('task-peers', 'read'), isPaged: true },
    summary: 'List the parts of hosts in tasks.',
    query: schemas.taskPeerQuery,
    answer: z.array(schemas.taskPeer),
  },
  'transfers.list': {
    ...{ method: 'GET', path: '/transfers', doors, access: right('transfers', 'read'), isPaged: true },
    summary: 'List who was told to fetch from whom.',
    query: schemas.transferQuery,
    answer: z.array(schemas.transfer),
  },
});

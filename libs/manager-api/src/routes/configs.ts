import { z } from 'zod';
import { right, routes } from '../route.ts';
import { idParams } from '../schemas/fields.ts';
import * as schemas from '../schemas/configs.ts';

const doors = { session: true } as const;
const [read, change] = [right('configs', 'read'), right('configs', '*')];

export const CONFIG_ROUTES = routes({
  'configs.create': {
    ...{ method: 'POST', path: '/configs', doors, access: change },
    summary: 'Make a setting.',
    body: schemas.createConfig,
    answer: schemas.config,
  },
  'configs.list': {
    ...{ method: 'GET', path: '/configs', doors, access: read, isPaged: true },
    summary: 'List settings.',
    query: schemas.configQuery,
    answer: z.array(schemas.config),
  },
  'configs.get': {
    ...{ method: 'GET', path: '/configs/:id', doors, access: read },
    summary: 'Show a setting.',
    params: idParams,
    answer: schemas.config,
  },
  'configs.update': {
    ...{ method: 'PATCH', path: '/configs/:id', doors, access: change },
    summary: 'Change a setting. What is absent stays as it is.',
    params: idParams,
    body: schemas.updateConfig,
    answer: schemas.config,
  },
  'configs.delete': {
    ...{ method: 'DELETE', path: '/configs/:id', doors, access: change },
    summary: 'Remove a setting.',
    params: idParams,
  },
});

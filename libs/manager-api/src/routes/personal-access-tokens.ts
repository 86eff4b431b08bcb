import { z } from 'zod';
import { right, routes } from '../route.ts';
import { idParams } from '../schemas/fields.ts';
import * as schemas from '../schemas/personal-access-tokens.ts';

const doors = { session: true } as const;
const [read, change] = [right('personal-access-tokens', 'read'), right('personal-access-tokens', '*')];

export const TOKEN_ROUTES = routes({
  'personalAccessTokens.create': {
    ...{ method: 'POST', path: '/personal-access-tokens', doors, access: change, isAboutAccess: true },
    summary: 'Make a personal access token. It is shown this once.',
    body: schemas.createToken,
    answer: schemas.createdToken,
  },
  'personalAccessTokens.list': {
    ...{ method: 'GET', path: '/personal-access-tokens', doors, access: read, isPaged: true },
    summary: 'List personal access tokens.',
    query: schemas.tokenQuery,
    answer: z.array(schemas.personalAccessToken),
  },
  'personalAccessTokens.get': {
    ...{ method: 'GET', path: '/personal-access-tokens/:id', doors, access: read },
    summary: 'Show a personal access token.',
    params: idParams,
    answer: schemas.personalAccessToken,
  },
  'personalAccessTokens.update': {
    ...{ method: 'PATCH', path: '/personal-access-tokens/:id', doors, access: change, isAboutAccess: true },
    summary: 'Change a personal access token. What is absent stays as it is.',
    params: idParams,
    body: schemas.updateToken,
    answer: schemas.personalAccessToken,
  },
  'personalAccessTokens.delete': {
    ...{ method: 'DELETE', path: '/personal-access-tokens/:id', doors, access: change, isAboutAccess: true },
    summary: 'Remove a personal access token.',
    params: idParams,
  },
});

import { z } from 'zod';
import { right, routes } from '../route.ts';
import * as schemas from '../schemas/roles.ts';

const doors = { session: true } as const;
const [read, change] = [right('roles', 'read'), right('roles', '*')];
const isAboutAccess = true;

export const ROLE_ROUTES = routes({
  'roles.create': {
    ...{ method: 'POST', path: '/roles', doors, access: change, isAboutAccess },
    summary: 'Make a role.',
    body: schemas.createRole,
  },
  'roles.list': {
    ...{ method: 'GET', path: '/roles', doors, access: read },
    summary: 'List the names of roles.',
    answer: z.array(z.string()),
  },
  'roles.get': {
    ...{ method: 'GET', path: '/roles/:role', doors, access: read },
    summary: 'Show what a role may.',
    params: schemas.roleParams,
    answer: schemas.policies,
  },
  'roles.delete': {
    ...{ method: 'DELETE', path: '/roles/:role', doors, access: change, isAboutAccess },
    summary: 'Remove a role, also from its users. Root stays.',
    params: schemas.roleParams,
  },
  'roles.addPermission': {
    ...{ method: 'POST', path: '/roles/:role/permissions', doors, access: change, isAboutAccess },
    summary: 'Let a role do more.',
    params: schemas.roleParams,
    body: schemas.permission,
  },
  'roles.removePermission': {
    ...{ method: 'DELETE', path: '/roles/:role/permissions', doors, access: change, isAboutAccess },
    summary: 'Let a role do less. Root stays what it is.',
    params: schemas.roleParams,
    body: schemas.permission,
  },
  'permissions.list': {
    ...{ method: 'GET', path: '/permissions', doors, access: right('permissions', 'read') },
    summary: 'List everything that a role can be allowed.',
    answer: z.array(schemas.permission),
  },
});

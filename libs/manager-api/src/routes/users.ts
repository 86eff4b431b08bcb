import { z } from 'zod';
import { right, rightOrSelf, routes } from '../route.ts';
import { idParams } from '../schemas/fields.ts';
import * as schemas from '../schemas/users.ts';

const session = { session: true } as const;
const open = { kind: 'open' } as const;
const isAboutAccess = true;

export const USER_ROUTES = routes({
  'users.signIn': {
    ...{ method: 'POST', path: '/users/signin', doors: session, access: open, isAboutAccess, isThrottled: true },
    summary: 'Sign in by name and password.',
    body: schemas.signIn,
    answer: schemas.session,
  },
  'users.signOut': {
    ...{ method: 'POST', path: '/users/signout', doors: session, access: open, isAboutAccess },
    summary: 'End the session for good.',
  },
  'users.refreshToken': {
    ...{ method: 'POST', path: '/users/refresh_token', doors: session, access: open, isAboutAccess, isThrottled: true },
    summary: 'Prolong the session.',
    body: schemas.refreshToken,
    answer: schemas.session,
  },
  'users.signUp': {
    ...{ method: 'POST', path: '/users/signup', doors: session, access: open, isAboutAccess, isThrottled: true },
    summary: 'Become a user, where configuration lets everybody.',
    body: schemas.signUp,
    answer: schemas.user,
  },
  'users.me': {
    ...{ method: 'GET', path: '/users/me', doors: session, access: { kind: 'signedIn' } },
    summary: 'Who asks, and what they may.',
    answer: schemas.me,
  },
  'users.resetPassword': {
    ...{ method: 'POST', path: '/users/:id/reset_password', doors: session, isAboutAccess, isThrottled: true },
    access: rightOrSelf('users', '*'),
    summary: 'Change a password: one’s own, or as root that of others. Ends all sessions of that user.',
    params: idParams,
    body: schemas.resetPassword,
  },
  'users.list': {
    ...{ method: 'GET', path: '/users', doors: session, access: right('users', 'read'), isPaged: true },
    summary: 'List users.',
    query: schemas.userQuery,
    answer: z.array(schemas.user),
  },
  'users.get': {
    ...{ method: 'GET', path: '/users/:id', doors: session, access: rightOrSelf('users', 'read') },
    summary: 'Show a user.',
    params: idParams,
    answer: schemas.user,
  },
  'users.update': {
    ...{ method: 'PATCH', path: '/users/:id', doors: session, access: rightOrSelf('users', '*') },
    summary: 'Change a user.',
    params: idParams,
    body: schemas.updateUser,
    answer: schemas.user,
  },
  'users.roles': {
    ...{ method: 'GET', path: '/users/:id/roles', doors: session, access: rightOrSelf('users', 'read') },
    summary: 'List the roles of a user.',
    params: idParams,
    answer: z.array(z.string()),
  },
  'users.addRole': {
    ...{ method: 'PUT', path: '/users/:id/roles/:role', doors: session, access: right('users', '*'), isAboutAccess },
    summary: 'Give a user a role. Only root gives root.',
    params: schemas.userRoleParams,
  },
  'users.removeRole': {
    ...{ method: 'DELETE', path: '/users/:id/roles/:role', doors: session, access: right('users', '*'), isAboutAccess },
    summary: 'Take a role from a user. The last root stays.',
    params: schemas.userRoleParams,
  },
});

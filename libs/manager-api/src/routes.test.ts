import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import type { Route } from './route.ts';
import { OBJECTS, OPENABLE, ROUTES } from './routes.ts';

const TABLE = Object.entries<Route>(ROUTES);
/** The published interface, as clients of it spell it. */
const PUBLISHED = `
POST /users/signin
POST /users/signout
POST /users/refresh_token
POST /users/signup
POST /users/:id/reset_password
GET /users
GET /users/:id
PATCH /users/:id
GET /users/:id/roles
PUT /users/:id/roles/:role
DELETE /users/:id/roles/:role
POST /roles
GET /roles
GET /roles/:role
DELETE /roles/:role
POST /roles/:role/permissions
DELETE /roles/:role/permissions
GET /permissions
POST /clusters
GET /clusters
GET /clusters/:id
PATCH /clusters/:id
DELETE /clusters/:id
POST /scheduler-clusters
GET /scheduler-clusters
GET /scheduler-clusters/:id
PATCH /scheduler-clusters/:id
DELETE /scheduler-clusters/:id
PUT /scheduler-clusters/:id/schedulers/:scheduler_id
POST /schedulers
GET /schedulers
GET /schedulers/:id
PATCH /schedulers/:id
DELETE /schedulers/:id
GET /scheduler-features
POST /seed-peer-clusters
GET /seed-peer-clusters
GET /seed-peer-clusters/:id
PATCH /seed-peer-clusters/:id
DELETE /seed-peer-clusters/:id
PUT /seed-peer-clusters/:id/seed-peers/:seed_peer_id
PUT /seed-peer-clusters/:id/scheduler-clusters/:scheduler_cluster_id
POST /seed-peers
GET /seed-peers
GET /seed-peers/:id
PATCH /seed-peers/:id
DELETE /seed-peers/:id
POST /peers
GET /peers
GET /peers/:id
DELETE /peers/:id
POST /jobs
GET /jobs
GET /jobs/:id
PATCH /jobs/:id
DELETE /jobs/:id
POST /applications
GET /applications
GET /applications/:id
PATCH /applications/:id
DELETE /applications/:id
POST /personal-access-tokens
GET /personal-access-tokens
GET /personal-access-tokens/:id
PATCH /personal-access-tokens/:id
DELETE /personal-access-tokens/:id
POST /configs
GET /configs
GET /configs/:id
PATCH /configs/:id
DELETE /configs/:id
GET /audits
GET /healthy`.trim();

const eventQuery = ROUTES['events.listen'].query;

describe('topics of events', () => {
  it.each([{}, { topics: 'jobs' }, { topics: 'peers,tasks,jobs,jobs' }])('are taken: %j', (query) => {
    expect(eventQuery.parse(query)).toEqual(query);
  });

  it.each([
    'job',
    'jobs,',
    ',jobs',
    'jobs,unheard',
    'jobs tasks',
    'JOBS',
    `${'jobs,'.repeat(99)}jobs`,
    ['jobs', 'tasks'],
  ])('are refused: %j', (topics) => {
    expect(eventQuery.safeParse({ topics }).success).toBe(false);
  });

  it('are named to who asks for another', () => {
    expect(eventQuery.safeParse({ topics: 'hosts' }).error?.issues[0]?.message).toContain('tasks, jobs, peers');
  });
});

describe('ROUTES', () => {
  it('has every published route', () => {
    const spelled = new Set(TABLE.map(([, { method, path }]) => `${method} ${path}`));
    expect(PUBLISHED.split('\n').filter((route) => !spelled.has(route))).toEqual([]);
  });

  it('has one route for a method and a path', () => {
    const spelled = TABLE.map(([, { method, path }]) => `${method} ${path}`);
    expect(new Set(spelled).size).toBe(spelled.length);
  });

  it.each(TABLE)('describes the parameters of %s, and no others', (_id, { path, params }) => {
    const named = [...path.matchAll(/:([a-z_]+)/g)].map(([, name]) => name).sort();
    const described = params instanceof z.ZodObject ? Object.keys(params.shape).sort() : [];
    expect(described).toEqual(named);
  });

  it.each(TABLE)('asks the right for %s that its method and path mean', (_id, { method, path, access, doors }) => {
    if (access.kind !== 'right') return;
    expect(access.action).toBe(method === 'GET' ? 'read' : '*');
    expect(access.object).toBe(path.split('/')[1]);
    expect(doors.session).toBe(true);
  });

  it('lets listen to topics only by rights to read that other routes ask', () => {
    for (const [, { access, doors }] of TABLE) {
      if (access.kind !== 'topics') continue;
      expect(doors.root).toBeUndefined();
      for (const id of Object.values(access.lists))
        expect((ROUTES as Readonly<Record<string, Route>>)[id]).toMatchObject({
          ...{ method: 'GET', isPaged: true },
          access: { kind: 'right', action: 'read' },
        });
    }
  });

  it('leaves open what signing in needs and what tells of health, and nothing else', () => {
    const open = TABLE.filter(([, { access }]) => access.kind === 'open').map(([id]) => id);
    expect(open.sort()).toEqual(
      ['healthy', 'readyz', 'users.refreshToken', 'users.signIn', 'users.signOut', 'users.signUp'].sort(),
    );
  });

  it('lets configuration open what reads or starts preheats and tasks, and nothing else', () => {
    expect([...OPENABLE.keys()].sort()).toEqual(
      ['preheat.create', 'preheat.get', 'jobs.create:preheat', 'jobs.get', 'tasks.list'].sort(),
    );
  });

  it.each(TABLE.filter(([, { isPaged }]) => isPaged))('gives %s pages of ten from the first', (_id, { query }) => {
    expect(query?.parse({})).toEqual({ page: 1, per_page: 10 });
    for (const page of ['0', '-1', '1.5', 'x', '1e99']) expect(query?.safeParse({ page }).success).toBe(false);
  });

  it('puts every right into a group', () => {
    expect(OBJECTS).toContain('clusters');
    expect(OBJECTS).toContain('personal-access-tokens');
    expect(new Set(OBJECTS).size).toBe(OBJECTS.length);
  });
});

import { describe, expect, it } from '@jest/globals';
import { Secret } from '@d7y/service-kit';
import { databasesOfTests, NOON } from './_database.ts';
import { makeFirstRows } from './first-rows.ts';
import { openDatabase } from './open-database.ts';
import { ClusterRepository } from './repositories/clusters.ts';
import { PersonalAccessTokenRepository } from './repositories/personal-access-tokens.ts';
import { RoleRepository } from './repositories/roles.ts';
import { UserRepository } from './repositories/users.ts';
import { PasswordHasher } from './secrets/password-hash.ts';
import { hashToken } from './secrets/token-secret.ts';

const databases = databasesOfTests();
const options = { objects: ['clusters', 'jobs'], passwords: new PasswordHasher(), now: NOON };
const ALL = { offset: 0, limit: 100 };

describe('makeFirstRows', () => {
  it('makes a default cluster with its seed peers as number 1, roles, and root with a random password', async () => {
    await using database = await databases.open();
    const { rootPassword } = await makeFirstRows(database, options);
    const cluster = await new ClusterRepository(database.db).get(1);
    expect(cluster.schedulers).toMatchObject({
      ...{ name: 'cluster-1', isDefault: true, clientConfig: { load_limit: 200 } },
      config: { candidate_parent_limit: 3, filter_parent_limit: 15, job_rate_limit: 10 },
    });
    expect(cluster.seeds).toMatchObject({ id: 1, name: 'cluster-1', config: { load_limit: 2000 } });
    const users = new UserRepository(database.db);
    const root = await users.get(1);
    expect(await users.rolesOf(root.id)).toEqual(['root']);
    expect(rootPassword?.reveal()).toMatch(/^[\w-]{20}$/);
    expect(await options.passwords.matches(root.passwordHash ?? '', rootPassword ?? new Secret(''))).toBe(true);
    expect(await new RoleRepository(database.db).permissions()).toEqual(
      new Map([
        ['guest', [{ object: 'clusters', action: 'read' }, { object: 'jobs', action: 'read' }]], // prettier-ignore
        ['root', [{ object: 'clusters', action: '*' }, { object: 'jobs', action: '*' }]], // prettier-ignore
      ]),
    );
  });

  it('tells the password once, also when replicas start at once, and keeps what was changed since', async () => {
    const address = await databases.address();
    const replicas = await Promise.all([1, 2, 3].map(() => openDatabase({ address })));
    const [one] = replicas;
    if (one === undefined) throw new Error('there are three');
    const answers = await Promise.all(replicas.map((replica) => makeFirstRows(replica, options)));
    expect(answers.filter(({ rootPassword }) => rootPassword !== undefined)).toHaveLength(1);
    const clusters = new ClusterRepository(one.db);
    await clusters.update(1, { name: 'renamed', isDefault: false }, NOON);
    await new RoleRepository(one.db).disallow('guest', { object: 'jobs', action: 'read' });
    const later = { ...options, objects: ['clusters', 'jobs', 'peers'] };
    expect(await makeFirstRows(one, later)).toEqual({ rootPassword: undefined });
    expect((await clusters.page({}, ALL)).rows).toMatchObject([{ schedulers: { name: 'renamed', isDefault: false } }]);
    const roles = await new RoleRepository(one.db).permissions();
    expect(roles.get('guest')).toEqual([{ object: 'clusters', action: 'read' }]);
    expect(roles.get('root')).toContainEqual({ object: 'peers', action: '*' });
    for (const replica of replicas) await replica[Symbol.asyncDispose]();
  });

  it('takes password and token from whoever starts it, and another token later', async () => {
    await using database = await databases.open();
    const given = { ...options, rootPassword: new Secret('chosen password'), token: new Secret('dfp_one') };
    expect(await makeFirstRows(database, given)).toEqual({ rootPassword: undefined });
    const tokens = new PersonalAccessTokenRepository(database.db);
    expect(await tokens.findByHash(hashToken('dfp_one'))).toMatchObject({
      name: 'default',
      scopes: ['job', 'cluster'],
    });
    await makeFirstRows(database, { ...given, token: new Secret('dfp_two') });
    expect(await tokens.findByHash(hashToken('dfp_one'))).toBeUndefined();
    expect(await tokens.findByHash(hashToken('dfp_two'))).toMatchObject({ id: 1, tokenPrefix: 'dfp_two' });
    const root = await new UserRepository(database.db).findByName('root');
    expect(await options.passwords.matches(root?.passwordHash ?? '', given.rootPassword)).toBe(true);
  });
});

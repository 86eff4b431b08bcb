import { randomUUID } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { after, databasesOfTests, NOON } from '../_database.ts';
import type { Database } from '../open-database.ts';
import { hashToken } from '../secrets/token-secret.ts';
import type { AuditValues } from './audits.ts';
import { AuditRepository } from './audits.ts';
import { PersonalAccessTokenRepository } from './personal-access-tokens.ts';
import { RoleRepository } from './roles.ts';
import { SessionRepository } from './sessions.ts';
import { UserRepository } from './users.ts';

const databases = databasesOfTests();
const ALL = { offset: 0, limit: 100 };
const userIn = (database: Database, name = 'ann') => new UserRepository(database.db).create({ name }, NOON);

describe('UserRepository', () => {
  it('finds users by what they are called here and elsewhere', async () => {
    await using database = await databases.open();
    const users = new UserRepository(database.db);
    const ann = await users.create({ name: 'ann', email: 'a@x.org', provider: 'oidc', providerSubject: '7' }, NOON);
    await users.create({ name: 'bob' }, NOON);
    await users.create({ name: 'eve' }, NOON); // no e-mail address either
    expect(await users.findByName('ann')).toEqual(ann);
    expect(await users.findAtProvider('oidc', '7')).toEqual(ann);
    expect(await users.page({ state: 'enable' }, { offset: 0, limit: 2 })).toMatchObject({
      ...{ total: 3, rows: [{ name: 'eve' }, { name: 'bob' }] },
    });
    await expect(users.create({ name: 'ann' }, NOON)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await users.changePassword(ann.id, 'hash', after(1));
    expect(await users.update(ann.id, { bio: 'b' }, after(2))).toMatchObject({
      ...{ bio: 'b', email: 'a@x.org', passwordHash: 'hash', passwordChangedAt: after(1), updatedAt: after(2) },
    });
  });

  it('gives a role once, and takes it once', async () => {
    await using database = await databases.open();
    const users = new UserRepository(database.db);
    const roles = new RoleRepository(database.db);
    const { id } = await userIn(database);
    await expect(users.giveRole(id, 'operator')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await roles.create('operator', [{ object: 'jobs', action: '*' }], NOON);
    await users.giveRole(id, 'operator');
    await expect(users.giveRole(id, 'operator')).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await expect(users.giveRole(4711, 'operator')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    expect(await users.rolesOf(id)).toEqual(['operator']);
    await users.takeRole(id, 'operator');
    await expect(users.takeRole(id, 'operator')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('RoleRepository', () => {
  it('adds and takes permissions, and goes with them', async () => {
    await using database = await databases.open();
    const roles = new RoleRepository(database.db);
    await roles.create('r', [], NOON);
    await expect(roles.create('r', [], NOON)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await roles.allow('r', { object: 'jobs', action: 'read' });
    await expect(roles.allow('r', { object: 'jobs', action: 'read' })).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    });
    expect(await roles.permissionsOf('r')).toEqual([{ object: 'jobs', action: 'read' }]);
    await roles.disallow('r', { object: 'jobs', action: 'read' });
    await expect(roles.disallow('r', { object: 'jobs', action: 'read' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await roles.permissions()).toEqual(new Map([['r', []]]));
    const { id } = await userIn(database);
    await new UserRepository(database.db).giveRole(id, 'r');
    await roles.remove('r');
    expect(await new UserRepository(database.db).rolesOf(id)).toEqual([]);
    await expect(roles.remove('r')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('PersonalAccessTokenRepository', () => {
  it('knows a token by its hash, and when it was used last, to the minute', async () => {
    await using database = await databases.open();
    const tokens = new PersonalAccessTokenRepository(database.db);
    const { id: userId } = await userIn(database);
    const values = { name: 't', bio: '', tokenPrefix: 'dfp_x', scopes: ['job'], expiredAt: after(1_000), userId };
    const made = await tokens.create({ ...values, tokenHash: hashToken('dfp_x') }, NOON);
    expect(await tokens.findByHash(hashToken('dfp_x'))).toEqual(made);
    expect(await tokens.findByHash(hashToken('dfp_y'))).toBeUndefined();
    const usedAt = async (at: Date) => {
      await tokens.noteUse(made.id, at);
      return (await tokens.get(made.id)).lastUsedAt;
    };
    expect(await usedAt(after(0))).toEqual(NOON);
    expect(await usedAt(after(30_000))).toEqual(NOON);
    expect(await usedAt(after(61_000))).toEqual(after(61_000));
    expect(await tokens.update(made.id, { state: 'inactive' }, NOON)).toMatchObject({
      state: 'inactive',
      scopes: ['job'],
    });
  });
});

describe('SessionRepository', () => {
  const token = (of: string) => hashToken(of);

  it('renews with each token once; a second use tells of a copy', async () => {
    await using database = await databases.open();
    const { id: userId } = await userIn(database);
    const sessions = new SessionRepository(database.db);
    const sessionId = randomUUID();
    await sessions.begin({ userId, sessionId, tokenHash: token('1'), expiresAt: after(1_000) }, NOON);
    const renew = (shown: string, next: string, at = NOON) =>
      database.transaction((tx) =>
        new SessionRepository(tx).renew(
          { tokenHash: token(shown), nextHash: token(next), nextExpiresAt: after(2_000) },
          at,
        ),
      );
    expect(await renew('1', '2')).toEqual({ kind: 'renewed', userId, sessionId });
    expect(await renew('1', '3')).toEqual({ kind: 'reused', userId, sessionId });
    expect(await renew('3', '4')).toEqual({ kind: 'unknown' });
    expect(await renew('2', '5', after(2_000))).toEqual({ kind: 'unknown' }); // too late
    expect(await sessions.sessionOf(token('2'))).toBe(sessionId);
  });

  it('lets one of two that use a token at the same time win', async () => {
    await using database = await databases.open();
    const { id: userId } = await userIn(database);
    const sessionId = randomUUID();
    await new SessionRepository(database.db).begin(
      { userId, sessionId, tokenHash: token('1'), expiresAt: after(1_000) },
      NOON,
    );
    const outcomes = await Promise.all(
      ['a', 'b', 'c'].map((next) =>
        database.transaction((tx) =>
          new SessionRepository(tx).renew(
            { tokenHash: token('1'), nextHash: token(next), nextExpiresAt: after(1) },
            NOON,
          ),
        ),
      ),
    );
    expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['renewed', 'reused', 'reused']);
  });

  it('ends for good, alone or with all of its user, and is forgotten when nothing of it can be alive', async () => {
    await using database = await databases.open();
    const { id: userId } = await userIn(database);
    const sessions = new SessionRepository(database.db);
    const [one, two] = [randomUUID(), randomUUID()];
    await sessions.begin({ userId, sessionId: one, tokenHash: token('1'), expiresAt: after(1_000) }, NOON);
    await sessions.begin({ userId, sessionId: two, tokenHash: token('2'), expiresAt: after(1_000) }, NOON);
    await sessions.end(one, after(500));
    expect([await sessions.isRevoked(one), await sessions.isRevoked(two)]).toEqual([true, false]);
    const use = { tokenHash: token('1'), nextHash: token('3'), nextExpiresAt: after(9) };
    expect(await sessions.renew(use, NOON)).toEqual({ kind: 'unknown' });
    await sessions.endAllOf(userId, after(500));
    expect(await sessions.isRevoked(two)).toBe(true);
    await sessions.removeExpired(after(501));
    expect(await sessions.isRevoked(two)).toBe(false);
  });
});

describe('AuditRepository', () => {
  it('filters, newest first, and forgets what is old', async () => {
    await using database = await databases.open();
    const audits = new AuditRepository(database.db);
    const entry = (path: string, statusCode: number): AuditValues => ({
      ...{ actorType: 'USER', actorName: 'ann', operation: 'POST', operatedAt: NOON },
      ...{ state: 'SUCCESS', path, statusCode, detail: {} },
    });
    await audits.add([entry('/a', 200), entry('/b', 200), entry('/c', 500)], NOON);
    await audits.add([entry('/d', 200)], after(1_000));
    await audits.add([], NOON);
    const { rows, total } = await audits.page({ statusCode: 200, eventType: 'API' }, { offset: 0, limit: 2 });
    expect([total, rows.map(({ path }) => path)]).toEqual([3, ['/d', '/b']]);
    expect(await audits.removeBefore(after(500), 2)).toBe(2);
    expect(await audits.removeBefore(after(500), 2)).toBe(1);
    expect((await audits.page({}, ALL)).rows).toMatchObject([{ path: '/d' }]);
  });
});

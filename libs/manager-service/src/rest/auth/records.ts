import type { Database, PasswordHasher } from '@d7y/manager-db';
import { PersonalAccessTokenRepository, RoleRepository, SessionRepository, UserRepository } from '@d7y/manager-db';
import { Secret } from '@d7y/service-kit';
import type { AccessSource } from './access-source.ts';
import type { Passwords, SessionRecords } from './sessions.ts';

/** Who may what, as the database has it. */
export function accessSource({ db }: Database): AccessSource {
  const users = new UserRepository(db);
  const sessions = new SessionRepository(db);
  const tokens = new PersonalAccessTokenRepository(db);
  const roles = new RoleRepository(db);
  return {
    async user(userId) {
      const row = await users.find(userId);
      if (row === undefined) return undefined;
      const { id, name, state, passwordChangedAt } = row;
      return { id, name, state, passwordChangedAt: passwordChangedAt ?? undefined, roles: await users.rolesOf(id) };
    },
    isRevoked: (sessionId) => sessions.isRevoked(sessionId),
    token: (hash) => tokens.findByHash(hash),
    permissions: () => roles.permissions(),
  };
}

/** Sessions, as the database has them. */
export function sessionRecords(database: Database, now: () => Date): SessionRecords {
  const users = new UserRepository(database.db);
  const sessions = new SessionRepository(database.db);
  return {
    userByName: (name) => users.findByName(name),
    userById: (userId) => users.find(userId),
    begin: (session) => sessions.begin(session, now()),
    renew: (use) => database.transaction((tx) => new SessionRepository(tx).renew(use, now())),
    end: (sessionId, expiresAt) => database.transaction((tx) => new SessionRepository(tx).end(sessionId, expiresAt)),
    sessionOf: (tokenHash) => sessions.sessionOf(tokenHash),
  };
}

export const passwordsOf = (hasher: PasswordHasher): Passwords => ({
  hash: (password) => hasher.hash(new Secret(password)),
  matches: (hash, password) => hasher.matches(hash, new Secret(password)),
});

import { PasswordHasher, randomPassword, SessionRepository, UserRepository } from '@d7y/manager-db';
import { createLogger, type Secret, StartError } from '@d7y/service-kit';
import type { ManagerConfig } from '../config/read-manager-config.ts';
import { openManagerDatabase } from './open-database.ts';

export interface ResetPasswordOptions {
  readonly user: string;
  readonly signal: AbortSignal;
}

/**
 * Gives a user another random password, in the database of the configuration; managers may be at work meanwhile. The old password and all
 * sessions of the user end with it. It is kept nowhere: whoever loses it asks again.
 * @throws {StartError} the database cannot be used, or knows no such user
 */
export async function resetPassword(
  { database: { postgres }, auth }: Pick<ManagerConfig, 'database' | 'auth'>,
  { user: name, signal }: ResetPasswordOptions,
): Promise<Secret> {
  const logger = createLogger({ name: 'manager', level: 'silent' });
  // Tables are left to managers: this is no time to bring them up to date.
  const config = { database: { postgres: { ...postgres, migrate: false }, redis: undefined } };
  await using database = await openManagerDatabase(config, { logger, signal });
  const password = randomPassword();
  const passwordHash = await new PasswordHasher().hash(password);
  const now = new Date();
  await database.transaction(async (tx) => {
    const users = new UserRepository(tx);
    const user = await users.findByName(name);
    if (user === undefined) throw new StartError(`no user is named ${name}`);
    await users.changePassword(user.id, passwordHash, now);
    await new SessionRepository(tx).endAllOf(user.id, new Date(now.getTime() + 2 * auth.jwt.timeout));
  });
  return password;
}

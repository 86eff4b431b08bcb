import type { Secret } from '@d7y/service-kit';
import { eq, sql } from 'drizzle-orm';
import { LOCK } from './migrate.ts';
import type { Database, Db } from './open-database.ts';
import { ClusterRepository } from './repositories/clusters.ts';
import { RoleRepository } from './repositories/roles.ts';
import { UserRepository } from './repositories/users.ts';
import { configs, personalAccessTokens, rolePermissions, roles, schedulerClusters } from './schema/index.ts';
import type { PasswordHasher } from './secrets/password-hash.ts';
import { randomPassword } from './secrets/random-password.ts';
import { hashToken, prefixOf } from './secrets/token-secret.ts';
import { asked } from './translate-error.ts';

export interface FirstRowsOptions {
  /** Groups of routes on which permissions are given. */
  readonly objects: readonly string[];
  /** Groups that the role `guest` may read; all of them unless given. */
  readonly guestObjects?: readonly string[];
  /** Of the user `root` when it is made; a random one otherwise. */
  readonly rootPassword?: Secret | undefined;
  /** A personal access token that is there from the start, named `default`, of the user `root`. */
  readonly token?: Secret | undefined;
  readonly passwords: PasswordHasher;
  readonly now: Date;
}

export interface FirstRows {
  /** The random password of `root`, when it was made by this call: it is told to nobody else, and kept nowhere. */
  readonly rootPassword: Secret | undefined;
}

const CLUSTER = {
  name: 'cluster-1',
  bio: '',
  scopes: {},
  isDefault: true,
  schedulerClusterConfig: { candidate_parent_limit: 3, filter_parent_limit: 15, job_rate_limit: 10 },
  seedPeerClusterConfig: { load_limit: 2000 },
  peerClusterConfig: { load_limit: 200 },
} as const;
const ROOT = 'root';
const GUEST = 'guest';
const TOKEN = 'default';
const TOKEN_YEARS = 10;
const TOKEN_SCOPES = ['job', 'cluster'];
const DAY_NS = 24 * 3600 * 1e9;
/** How long audits and ended jobs are kept; in nanoseconds, as consoles write it. */
const RETENTION = JSON.stringify({ audit: { ttl: 7 * DAY_NS }, job: { ttl: 7 * DAY_NS } });

/**
 * Makes what a manager cannot do without, where it is missing: a default cluster when there is none at all, the roles, the user `root`.
 * What an administrator has changed or removed since stays so. Safe to run at each start and by several replicas at once.
 */
export async function makeFirstRows(database: Database, options: FirstRowsOptions): Promise<FirstRows> {
  return await database.transaction(async (tx) => {
    await asked(tx.execute(sql`select pg_advisory_xact_lock(${LOCK})`));
    await makeCluster(tx, options);
    await makeRoles(tx, options);
    const rootPassword = await makeRoot(tx, options);
    await makeToken(tx, options);
    const retention = { name: 'gc', value: RETENTION, createdAt: options.now, updatedAt: options.now };
    await asked(tx.insert(configs).values(retention).onConflictDoNothing());
    return { rootPassword };
  });
}

async function makeCluster(tx: Db, { now }: FirstRowsOptions): Promise<void> {
  const [some] = await asked(tx.select({ id: schedulerClusters.id }).from(schedulerClusters).limit(1));
  if (some === undefined) await new ClusterRepository(tx).create(CLUSTER, now);
}

/** The root role gets what later versions add; others are as they were left. */
async function makeRoles(tx: Db, { objects, guestObjects = objects, now }: FirstRowsOptions): Promise<void> {
  const repository = new RoleRepository(tx);
  const known = await repository.names();
  const wholly = objects.map((object) => ({ object, action: '*' as const }));
  if (!known.includes(ROOT)) await repository.create(ROOT, wholly, now);
  if (!known.includes(GUEST)) {
    await repository.create(
      GUEST,
      guestObjects.map((object) => ({ object, action: 'read' })),
      now,
    );
  }
  const [root] = await asked(tx.select({ id: roles.id }).from(roles).where(eq(roles.name, ROOT)));
  if (root === undefined || objects.length === 0) return;
  const rows = wholly.map((permission) => ({ roleId: root.id, ...permission }));
  await asked(tx.insert(rolePermissions).values(rows).onConflictDoNothing());
}

async function makeRoot(tx: Db, { rootPassword, passwords, now }: FirstRowsOptions): Promise<Secret | undefined> {
  const users = new UserRepository(tx);
  if ((await users.findByName(ROOT)) !== undefined) return undefined;
  const password = rootPassword ?? randomPassword();
  const user = await users.create({ name: ROOT, passwordHash: await passwords.hash(password) }, now);
  await users.giveRole(user.id, ROOT);
  return rootPassword === undefined ? password : undefined;
}

/** Another token than the one before takes its place. */
async function makeToken(tx: Db, { token, now }: FirstRowsOptions): Promise<void> {
  if (token === undefined) return;
  const root = await new UserRepository(tx).findByName(ROOT);
  if (root === undefined) return;
  const tokenHash = hashToken(token.reveal());
  const expiredAt = new Date(now);
  expiredAt.setUTCFullYear(expiredAt.getUTCFullYear() + TOKEN_YEARS);
  const set = { tokenHash, tokenPrefix: prefixOf(token.reveal()), expiredAt, state: 'active', updatedAt: now } as const;
  await asked(
    tx
      .insert(personalAccessTokens)
      .values({ name: TOKEN, scopes: TOKEN_SCOPES, userId: root.id, createdAt: now, ...set })
      .onConflictDoUpdate({
        target: personalAccessTokens.name,
        set,
        setWhere: sql`${personalAccessTokens.tokenHash} <> ${tokenHash}`,
      }),
  );
}

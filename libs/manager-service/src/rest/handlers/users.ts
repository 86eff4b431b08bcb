import { RoleRepository, SessionRepository, UserRepository } from '@d7y/manager-db';
import { Secret } from '@d7y/service-kit';
import type { Call, Handlers } from '../call.ts';
import { isRoot, ROOT } from '../auth/principal.ts';
import { clearSessionCookies, REFRESH_COOKIE, setSessionCookies } from '../auth/session-cookies.ts';
import type { SessionTokens } from '../auth/sessions.ts';
import { SESSION_COOKIE } from '../auth/gate.ts';
import { GUEST } from '../auth/principal.ts';
import { ConflictError, ForbiddenError, InvalidRequestError, UnauthenticatedError } from '../errors.ts';
import type { Services } from '../services.ts';
import { given, pageOf } from '../services.ts';
import { toUser } from '../views/users.ts';

type UserRoute = Extract<keyof Handlers, `users.${string}`>;

const toSession = ({ token, expiresAt, refreshToken, refreshExpiresAt }: SessionTokens) => ({
  token,
  expire: expiresAt.toISOString(),
  refresh_token: refreshToken,
  refresh_expire: refreshExpiresAt.toISOString(),
});

export function userHandlers(services: Services): Handlers<UserRoute> {
  const { database, sessions, cookies, gate, now, accessChanged, passwords, passwordAttempts } = services;
  const users = new UserRepository(database.db);

  /** Only root deals with what belongs to root: everybody else could become it. */
  const checkMayChange = async ({ principal }: Pick<Call<UserRoute>, 'principal'>, userId: number): Promise<void> => {
    if (principal.kind === 'user' && principal.userId === userId) return;
    if (!isRoot(principal) && (await users.rolesOf(userId)).includes(ROOT))
      throw new ForbiddenError('only root changes a user with the role root');
  };

  return {
    async 'users.signIn'(call) {
      const { name, password } = call.body;
      call.setActor(name);
      const tokens = await sessions.signIn(name, password, call.ip);
      setSessionCookies(call, tokens, cookies);
      return toSession(tokens);
    },

    async 'users.signOut'(call) {
      await sessions.signOut({
        token: call.bearer ?? call.cookies[SESSION_COOKIE],
        refreshToken: call.cookies[REFRESH_COOKIE],
      });
      clearSessionCookies(call, cookies);
      return undefined;
    },

    async 'users.refreshToken'(call) {
      const tokens = await sessions.refresh(call.body?.refresh_token ?? call.cookies[REFRESH_COOKIE], call.ip);
      call.setActor(tokens.name);
      setSessionCookies(call, tokens, cookies);
      return toSession(tokens);
    },

    async 'users.signUp'(call) {
      if (!services.isSignUpOpen) throw new ForbiddenError('sign-up is closed');
      const { password, ...profile } = call.body;
      call.setActor(profile.name);
      const passwordHash = await passwords.hash(new Secret(password));
      const row = await database.transaction(async (tx) => {
        const inside = new UserRepository(tx);
        const created = await inside.create({ ...given(profile), name: profile.name, passwordHash }, now());
        await inside.giveRole(created.id, GUEST);
        return created;
      });
      return toUser(row);
    },

    async 'users.me'({ principal }) {
      if (principal.kind !== 'user') throw new UnauthenticatedError('sign in first');
      const [row, permissions] = await Promise.all([
        users.get(principal.userId),
        new RoleRepository(database.db).permissions(),
      ]);
      const rights = principal.roles.flatMap((role) => permissions.get(role) ?? []);
      const distinct = new Map(rights.map((right) => [`${right.object} ${right.action}`, right]));
      return { ...toUser(row), roles: [...principal.roles], permissions: [...distinct.values()] };
    },

    async 'users.resetPassword'(call) {
      const { principal, params, body, ip } = call;
      await checkMayChange(call, params.id);
      const row = await users.get(params.id);
      const isOther = principal.kind !== 'user' || principal.userId !== params.id;
      if (!(isOther && isRoot(principal))) {
        if (body.old_password === undefined) throw new InvalidRequestError('old_password: is needed');
        const attempt = passwordAttempts.begin(`${ip} ${params.id}`);
        const isRight = await passwords.matches(row.passwordHash ?? '', new Secret(body.old_password));
        if (!isRight) throw new UnauthenticatedError('incorrect Username or Password');
        attempt.succeeded();
      }
      const passwordHash = await passwords.hash(new Secret(body.new_password));
      const over = new Date(now().getTime() + 2 * services.accessLifetimeMs);
      await database.transaction(async (tx) => {
        await new UserRepository(tx).changePassword(params.id, passwordHash, now());
        await new SessionRepository(tx).endAllOf(params.id, over);
      });
      await accessChanged();
      return undefined;
    },

    async 'users.list'(call) {
      const { page: _page, per_page: _perPage, ...filter } = call.query;
      const { rows, total } = await users.page(filter, pageOf(call.query));
      call.setTotal(total);
      return rows.map(toUser);
    },

    async 'users.get'({ params }) {
      return toUser(await users.get(params.id));
    },

    async 'users.update'(call) {
      const { principal, params, body } = call;
      await checkMayChange(call, params.id);
      const { state } = body;
      if (state === undefined) return toUser(await users.update(params.id, given(body), now()));
      if (principal.kind !== 'user' || !(await gate.hasRight(principal.roles, 'users', '*')))
        throw new ForbiddenError('permission deny');
      if (principal.userId === params.id) throw new ConflictError('nobody disables himself');
      const row = await database.transaction(async (tx) => {
        const inside = new UserRepository(tx);
        if (state === 'disable') await checkRootStays(inside, params.id);
        return await inside.update(params.id, given(body), now());
      });
      await accessChanged();
      return toUser(row);
    },

    async 'users.roles'({ params }) {
      await users.get(params.id);
      return await users.rolesOf(params.id);
    },

    async 'users.addRole'({ principal, params }) {
      if (params.role === ROOT && !isRoot(principal)) throw new ForbiddenError('only root gives the role root');
      await users.get(params.id);
      await users.giveRole(params.id, params.role);
      await accessChanged();
      return undefined;
    },

    async 'users.removeRole'({ principal, params }) {
      if (params.role === ROOT && !isRoot(principal)) throw new ForbiddenError('only root takes the role root');
      await database.transaction(async (tx) => {
        const inside = new UserRepository(tx);
        await inside.get(params.id);
        if (params.role === ROOT) await checkRootStays(inside, params.id);
        await inside.takeRole(params.id, params.role);
      });
      await accessChanged();
      return undefined;
    },
  };
}

/** Somebody else must be root who can sign in; the rows are locked, so that two cannot go at once. */
async function checkRootStays(users: UserRepository, userId: number): Promise<void> {
  const roots = await users.lockHoldersOf(ROOT);
  if (roots.includes(userId) && roots.length === 1) throw new ConflictError('the last root stays');
}

import { DEFAULT_TOKEN_SCOPES } from '@d7y/manager-api';
import { hashToken, makeToken, PersonalAccessTokenRepository, prefixOf, UserRepository } from '@d7y/manager-db';
import type { Handlers } from '../call.ts';
import type { Principal } from '../auth/principal.ts';
import { isRoot, userIdOf } from '../auth/principal.ts';
import { ForbiddenError, InvalidRequestError } from '../errors.ts';
import type { Services } from '../services.ts';
import { given, pageOf, rowsById } from '../services.ts';
import { toPersonalAccessToken } from '../views/others.ts';

type TokenRoute = Extract<keyof Handlers, `personalAccessTokens.${string}`>;

export function personalAccessTokenHandlers({ database, now, accessChanged }: Services): Handlers<TokenRoute> {
  const tokens = new PersonalAccessTokenRepository(database.db);
  const users = new UserRepository(database.db);
  const show = async (id: number) => {
    const row = await tokens.get(id);
    return toPersonalAccessToken(row, await users.find(row.userId));
  };
  const expiry = (text: string): Date => {
    const expiredAt = new Date(text);
    if (Number.isNaN(expiredAt.getTime()) || expiredAt <= now())
      throw new InvalidRequestError('expired_at: must lie ahead');
    return expiredAt;
  };

  return {
    async 'personalAccessTokens.create'({ body, principal }) {
      checkOwner(principal, body.user_id);
      const scopes =
        body.scopes === undefined || body.scopes === null || body.scopes.length === 0
          ? DEFAULT_TOKEN_SCOPES
          : body.scopes;
      const token = makeToken('personal').reveal();
      const row = await tokens.create(
        {
          ...{ name: body.name, bio: body.bio ?? '', scopes: [...new Set(scopes)], userId: body.user_id },
          ...{ tokenHash: hashToken(token), tokenPrefix: prefixOf(token), expiredAt: expiry(body.expired_at) },
        },
        now(),
      );
      // A caller may have tried it already, by chance or not.
      await accessChanged();
      return { ...(await show(row.id)), token };
    },
    async 'personalAccessTokens.list'(call) {
      const { state, user_id: userId } = call.query;
      const { rows, total } = await tokens.page({ state, userId }, pageOf(call.query));
      call.setTotal(total);
      const owners = await rowsById(
        rows.map((row) => row.userId),
        (id) => users.find(id),
      );
      return rows.map((row) => toPersonalAccessToken(row, owners.get(row.userId)));
    },
    'personalAccessTokens.get': ({ params }) => show(params.id),
    async 'personalAccessTokens.update'({ params, body, principal }) {
      checkOwner(principal, (await tokens.get(params.id)).userId);
      if (body.user_id !== undefined) checkOwner(principal, body.user_id);
      const { bio, scopes, state, user_id: userId } = body;
      const expiredAt = body.expired_at === undefined ? undefined : expiry(body.expired_at);
      await tokens.update(params.id, given({ bio, scopes, state, userId, expiredAt }), now());
      await accessChanged();
      return await show(params.id);
    },
    async 'personalAccessTokens.delete'({ params }) {
      await tokens.remove(params.id);
      await accessChanged();
      return undefined;
    },
  };
}

/** A token does what its owner may: one of somebody else would be a way to his rights. @throws {ForbiddenError} */
function checkOwner(principal: Principal, userId: number): void {
  if (userId !== userIdOf(principal) && !isRoot(principal))
    throw new ForbiddenError('only root deals with tokens of others');
}

import { OBJECTS } from '@d7y/manager-api';
import { RoleRepository } from '@d7y/manager-db';
import type { Call, Handlers } from '../call.ts';
import { isRoot, ROOT } from '../auth/principal.ts';
import { ConflictError, ForbiddenError, InvalidRequestError } from '../errors.ts';
import type { Services } from '../services.ts';

type RoleRoute = Extract<keyof Handlers, `roles.${string}` | `permissions.${string}`>;

export function roleHandlers({ database, gate, now, accessChanged }: Services): Handlers<RoleRoute> {
  const roles = new RoleRepository(database.db);

  /** A right to a group that does not exist would only look as if it did something; one that the giver lacks is none to give. */
  const checkGiven = async (
    { principal }: Pick<Call<RoleRoute>, 'principal'>,
    permissions: readonly { readonly object: string; readonly action: 'read' | '*' }[],
  ): Promise<void> => {
    for (const { object, action } of permissions) {
      if (!OBJECTS.includes(object))
        throw new InvalidRequestError(`object: there is no group ${JSON.stringify(object)}`);
      const mayGive =
        isRoot(principal) || (principal.kind === 'user' && (await gate.hasRight(principal.roles, object, action)));
      if (!mayGive) throw new ForbiddenError('nobody gives a right that he has not');
    }
  };
  const checkNotRoot = (role: string): void => {
    if (role === ROOT) throw new ConflictError('the role root stays what it is');
  };

  return {
    async 'roles.create'(call) {
      const { role, permissions } = call.body;
      await checkGiven(call, permissions);
      await database.transaction((tx) => new RoleRepository(tx).create(role, permissions, now()));
      await accessChanged();
      return undefined;
    },
    'roles.list': () => roles.names(),
    async 'roles.get'({ params: { role } }) {
      const permissions = await roles.permissionsOf(role);
      return permissions.map(({ object, action }): [string, string, string] => [role, object, action]);
    },
    async 'roles.delete'({ params: { role } }) {
      checkNotRoot(role);
      await roles.remove(role);
      await accessChanged();
      return undefined;
    },
    async 'roles.addPermission'(call) {
      const { params, body } = call;
      await checkGiven(call, [body]);
      await roles.allow(params.role, body);
      await accessChanged();
      return undefined;
    },
    async 'roles.removePermission'({ params: { role }, body }) {
      checkNotRoot(role);
      await roles.disallow(role, body);
      await accessChanged();
      return undefined;
    },
    'permissions.list': () =>
      OBJECTS.flatMap((object) => (['read', '*'] as const).map((action) => ({ object, action }))),
  };
}

import { ApplicationRepository, AuditRepository, ConfigRepository, UserRepository } from '@d7y/manager-db';
import type { Handlers } from '../call.ts';
import { UnavailableError } from '../errors.ts';
import type { Services } from '../services.ts';
import { given, pageOf, rowsById } from '../services.ts';
import { toApplication, toAudit, toConfig } from '../views/others.ts';
import { withoutNulls } from '../views/stored.ts';
import { checkPatterns } from './check-patterns.ts';

type OtherRoute = Extract<
  keyof Handlers,
  `applications.${string}` | `configs.${string}` | `audits.${string}` | 'healthy' | 'readyz'
>;

export function otherHandlers(services: Services): Handlers<OtherRoute> {
  const { database, now, readiness } = services;
  const applications = new ApplicationRepository(database.db);
  const configs = new ConfigRepository(database.db);
  const audits = new AuditRepository(database.db);
  const users = new UserRepository(database.db);
  const ownersOf = (rows: readonly { readonly userId: number | null }[]) =>
    rowsById(
      rows.map(({ userId }) => userId),
      (id) => users.find(id),
    );
  const ownerOf = async (row: { readonly userId: number | null }) => (await ownersOf([row])).get(row.userId ?? 0);

  return {
    async 'applications.create'({ body }) {
      checkPatterns(body, services);
      const { name, url, user_id: userId } = body;
      const values = { name, url, bio: body.bio ?? '', priority: withoutNulls(body.priority), userId };
      const row = await applications.create(values, now());
      return toApplication(row, await ownerOf(row));
    },
    async 'applications.list'(call) {
      const { name, user_id: userId } = call.query;
      const { rows, total } = await applications.page({ name, userId }, pageOf(call.query));
      call.setTotal(total);
      const owners = await ownersOf(rows);
      return rows.map((row) => toApplication(row, owners.get(row.userId ?? 0)));
    },
    async 'applications.get'({ params }) {
      const row = await applications.get(params.id);
      return toApplication(row, await ownerOf(row));
    },
    async 'applications.update'({ params, body }) {
      checkPatterns(body, services);
      const { name, url, bio, user_id: userId } = body;
      const priority = body.priority && withoutNulls(body.priority);
      const row = await applications.update(params.id, given({ name, url, bio, priority, userId }), now());
      return toApplication(row, await ownerOf(row));
    },
    async 'applications.delete'({ params }) {
      await applications.remove(params.id);
      return undefined;
    },

    async 'configs.create'({ body }) {
      const values = { name: body.name, value: body.value, bio: body.bio ?? '', userId: body.user_id };
      const row = await configs.create(values, now());
      return toConfig(row, await ownerOf(row));
    },
    async 'configs.list'(call) {
      const { name, value, user_id: userId } = call.query;
      const { rows, total } = await configs.page({ name, value, userId }, pageOf(call.query));
      call.setTotal(total);
      const owners = await ownersOf(rows);
      return rows.map((row) => toConfig(row, owners.get(row.userId ?? 0)));
    },
    async 'configs.get'({ params }) {
      const row = await configs.get(params.id);
      return toConfig(row, await ownerOf(row));
    },
    async 'configs.update'({ params, body }) {
      const { name, value, bio, user_id: userId } = body;
      const row = await configs.update(params.id, given({ name, value, bio, userId }), now());
      return toConfig(row, await ownerOf(row));
    },
    async 'configs.delete'({ params }) {
      await configs.remove(params.id);
      return undefined;
    },

    async 'audits.list'(call) {
      const { query } = call;
      const filter = {
        ...{ actorType: query.actor_type, actorName: query.actor_name, eventType: query.event_type },
        ...{ operation: query.operation, state: query.state, path: query.path, statusCode: query.status_code },
      };
      const { rows, total } = await audits.page(filter, pageOf(query));
      call.setTotal(total);
      return rows.map(toAudit);
    },

    healthy: () => 'OK',
    async readyz() {
      const { isReady, says } = await readiness();
      if (!isReady) throw new UnavailableError(says);
      return says;
    },
  };
}

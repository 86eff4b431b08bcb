import { SchedulerClusterRepository, SchedulerRepository } from '@d7y/manager-db';
import { SCHEDULER_FEATURES } from '@d7y/manager-api';
import type { Handlers } from '../call.ts';
import type { Services } from '../services.ts';
import { given, pageOf, rowsById, the } from '../services.ts';
import { toScheduler, toSchedulerCluster } from '../views/clusters.ts';
import { withoutNulls } from '../views/stored.ts';
import { checkPatterns } from './check-patterns.ts';

type SchedulerRoute = Extract<
  keyof Handlers,
  `schedulerClusters.${string}` | `schedulers.${string}` | `schedulerFeatures.${string}`
>;

export function schedulerHandlers(services: Services): Handlers<SchedulerRoute> {
  const { database, now } = services;
  const clusters = new SchedulerClusterRepository(database.db);
  const schedulers = new SchedulerRepository(database.db);
  return {
    async 'schedulerClusters.create'({ body }) {
      checkPatterns(body, services);
      const row = await database.transaction(async (tx) => {
        const inside = new SchedulerClusterRepository(tx);
        const created = await inside.create(
          {
            ...{ name: body.name, bio: body.bio ?? '', isDefault: body.is_default ?? false },
            config: withoutNulls(body.config),
            clientConfig: withoutNulls(body.client_config),
            seedClientConfig: withoutNulls(body.seed_client_config),
            scopes: withoutNulls(body.scopes ?? {}),
          },
          now(),
        );
        if (body.seed_peer_cluster_id !== undefined) await inside.linkSeeds(created.id, body.seed_peer_cluster_id);
        return created;
      });
      return toSchedulerCluster(row, undefined, now());
    },
    async 'schedulerClusters.list'(call) {
      const { rows, total } = await clusters.page({ name: call.query.name }, pageOf(call.query));
      call.setTotal(total);
      return rows.map((row) => toSchedulerCluster(row, undefined, now()));
    },
    async 'schedulerClusters.get'({ params: { id } }) {
      const row = await clusters.get(id);
      const [seeds, members] = await Promise.all([clusters.seedsOf(id), schedulers.ofCluster(id)]);
      return toSchedulerCluster(row, { seeds, schedulers: members }, now());
    },
    async 'schedulerClusters.update'({ params: { id }, body }) {
      checkPatterns(body, services);
      const row = await database.transaction(async (tx) => {
        const inside = new SchedulerClusterRepository(tx);
        const updated = await inside.update(
          id,
          given({
            ...{ name: body.name, bio: body.bio, isDefault: body.is_default },
            config: body.config && withoutNulls(body.config),
            clientConfig: body.client_config && withoutNulls(body.client_config),
            seedClientConfig: body.seed_client_config && withoutNulls(body.seed_client_config),
            scopes: body.scopes === undefined ? undefined : withoutNulls(body.scopes ?? {}),
          }),
          now(),
        );
        if (body.seed_peer_cluster_id !== undefined) await inside.linkSeeds(id, body.seed_peer_cluster_id);
        return updated;
      });
      return toSchedulerCluster(row, undefined, now());
    },
    async 'schedulerClusters.delete'({ params: { id } }) {
      await clusters.remove(id);
      return undefined;
    },
    async 'schedulerClusters.attachScheduler'({ params }) {
      await clusters.get(params.id);
      await schedulers.update(params.scheduler_id, { schedulerClusterId: params.id }, now());
      return undefined;
    },

    async 'schedulers.create'({ body }) {
      const row = await schedulers.create(
        {
          ...{ hostName: body.host_name, ip: body.ip, port: body.port, schedulerClusterId: body.scheduler_cluster_id },
          ...{ idc: body.idc ?? '', location: body.location ?? '', config: withoutNulls(body.config ?? {}) },
          features: body.features ?? [...SCHEDULER_FEATURES],
        },
        now(),
      );
      return toScheduler(row, await clusters.get(row.schedulerClusterId), now());
    },
    async 'schedulers.list'(call) {
      const { query } = call;
      const filter = {
        ...{ hostName: query.host_name, idc: query.idc, location: query.location, ip: query.ip, port: query.port },
        ...{ state: query.state, schedulerClusterId: query.scheduler_cluster_id },
      };
      const { rows, total } = await schedulers.page(filter, pageOf(query), now());
      call.setTotal(total);
      const of = await rowsById(
        rows.map((row) => row.schedulerClusterId),
        (id) => clusters.find(id),
      );
      return rows.map((row) => toScheduler(row, the(of, row.schedulerClusterId), now()));
    },
    async 'schedulers.get'({ params: { id } }) {
      const row = await schedulers.get(id);
      return toScheduler(row, await clusters.get(row.schedulerClusterId), now());
    },
    async 'schedulers.update'({ params: { id }, body }) {
      const row = await schedulers.update(
        id,
        given({
          ...{ ip: body.ip, port: body.port, idc: body.idc, location: body.location, features: body.features },
          schedulerClusterId: body.scheduler_cluster_id,
          config: body.config === undefined ? undefined : withoutNulls(body.config ?? {}),
        }),
        now(),
      );
      return toScheduler(row, await clusters.get(row.schedulerClusterId), now());
    },
    async 'schedulers.delete'({ params: { id } }) {
      await schedulers.remove(id);
      return undefined;
    },
    'schedulerFeatures.list': () => [...SCHEDULER_FEATURES],
  };
}

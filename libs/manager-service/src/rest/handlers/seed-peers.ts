import { SchedulerClusterRepository, SeedPeerClusterRepository, SeedPeerRepository } from '@d7y/manager-db';
import type { Handlers } from '../call.ts';
import type { Services } from '../services.ts';
import { given, pageOf, rowsById, the } from '../services.ts';
import { toSeedPeer, toSeedPeerCluster } from '../views/clusters.ts';
import { withoutNulls } from '../views/stored.ts';
import { checkPatterns } from './check-patterns.ts';

type SeedPeerRoute = Extract<keyof Handlers, `seedPeerClusters.${string}` | `seedPeers.${string}`>;

export function seedPeerHandlers(services: Services): Handlers<SeedPeerRoute> {
  const { database, now } = services;
  const clusters = new SeedPeerClusterRepository(database.db);
  const seedPeers = new SeedPeerRepository(database.db);
  return {
    async 'seedPeerClusters.create'({ body }) {
      checkPatterns(body, services);
      const values = { name: body.name, bio: body.bio ?? '', config: withoutNulls(body.config) };
      return toSeedPeerCluster(await clusters.create(values, now()), undefined, now());
    },
    async 'seedPeerClusters.list'(call) {
      const { rows, total } = await clusters.page({ name: call.query.name }, pageOf(call.query));
      call.setTotal(total);
      return rows.map((row) => toSeedPeerCluster(row, undefined, now()));
    },
    async 'seedPeerClusters.get'({ params: { id } }) {
      const row = await clusters.get(id);
      const [served, seeds] = await Promise.all([clusters.servedBy(id), seedPeers.ofCluster(id)]);
      return toSeedPeerCluster(row, { clusters: served, seeds }, now());
    },
    async 'seedPeerClusters.update'({ params: { id }, body }) {
      checkPatterns(body, services);
      const change = given({ name: body.name, bio: body.bio, config: body.config && withoutNulls(body.config) });
      return toSeedPeerCluster(await clusters.update(id, change, now()), undefined, now());
    },
    async 'seedPeerClusters.delete'({ params: { id } }) {
      await clusters.remove(id);
      return undefined;
    },
    async 'seedPeerClusters.attachSeedPeer'({ params }) {
      await clusters.get(params.id);
      await seedPeers.update(params.seed_peer_id, { seedPeerClusterId: params.id }, now());
      return undefined;
    },
    async 'seedPeerClusters.linkSchedulerCluster'({ params }) {
      await database.transaction(async (tx) => {
        const served = new SchedulerClusterRepository(tx);
        await Promise.all([clusters.get(params.id), served.get(params.scheduler_cluster_id)]);
        await served.linkSeeds(params.scheduler_cluster_id, params.id);
      });
      return undefined;
    },

    async 'seedPeers.create'({ body }) {
      const row = await seedPeers.create(
        {
          ...{ hostName: body.host_name, type: body.type, ip: body.ip, port: body.port },
          ...{ downloadPort: body.download_port, objectStoragePort: body.object_storage_port ?? 0 },
          ...{ idc: body.idc ?? '', location: body.location ?? '', seedPeerClusterId: body.seed_peer_cluster_id },
        },
        now(),
      );
      return toSeedPeer(row, await clusters.get(row.seedPeerClusterId), now());
    },
    async 'seedPeers.list'(call) {
      const { query } = call;
      const filter = {
        ...{ hostName: query.host_name, type: query.type, idc: query.idc, location: query.location, ip: query.ip },
        ...{ port: query.port, downloadPort: query.download_port, objectStoragePort: query.object_storage_port },
        ...{ seedPeerClusterId: query.seed_peer_cluster_id, state: query.state },
      };
      const { rows, total } = await seedPeers.page(filter, pageOf(query), now());
      call.setTotal(total);
      const of = await rowsById(
        rows.map((row) => row.seedPeerClusterId),
        (id) => clusters.find(id),
      );
      return rows.map((row) => toSeedPeer(row, the(of, row.seedPeerClusterId), now()));
    },
    async 'seedPeers.get'({ params: { id } }) {
      const row = await seedPeers.get(id);
      return toSeedPeer(row, await clusters.get(row.seedPeerClusterId), now());
    },
    async 'seedPeers.update'({ params: { id }, body }) {
      const row = await seedPeers.update(
        id,
        given({
          ...{ type: body.type, ip: body.ip, port: body.port, downloadPort: body.download_port },
          ...{ objectStoragePort: body.object_storage_port, idc: body.idc, location: body.location },
          seedPeerClusterId: body.seed_peer_cluster_id,
        }),
        now(),
      );
      return toSeedPeer(row, await clusters.get(row.seedPeerClusterId), now());
    },
    async 'seedPeers.delete'({ params: { id } }) {
      await seedPeers.remove(id);
      return undefined;
    },
  };
}
